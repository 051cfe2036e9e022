// WAV files, to the sample: float out, 16 and 24 bits and float in.

/** A float WAV of two or more channels. */
export function encode(sound, rate) {
  const [channels, samples] = [sound.length, sound[0].length];
  const bytes = channels * samples * 4;
  const view = new DataView(new ArrayBuffer(58 + bytes));
  const word = (at, text) => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, 50 + bytes, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 18, true);
  view.setUint16(20, 3, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * channels * 4, true);
  view.setUint16(32, channels * 4, true);
  view.setUint16(34, 32, true);
  word(38, "fact");
  view.setUint32(42, 4, true);
  view.setUint32(46, samples, true);
  word(50, "data");
  view.setUint32(54, bytes, true);
  for (let i = 0, at = 58; i < samples; i++) {
    for (let c = 0; c < channels; c++, at += 4) view.setFloat32(at, sound[c][i], true);
  }
  return view.buffer;
}

/** The channels of a WAV and its rate; throws where it is none that we write. */
export function decode(buffer) {
  const view = new DataView(buffer);
  const name = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (name(0) !== "RIFF" || name(8) !== "WAVE") throw new Error("that is no WAV file");
  let format = null;
  for (let at = 12; at + 8 <= buffer.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    if (name(at) === "fmt ") {
      let kind = view.getUint16(at + 8, true);
      if (kind === 0xfffe) kind = view.getUint16(at + 32, true);
      format = { kind, channels: view.getUint16(at + 10, true), rate: view.getUint32(at + 12, true), bits: view.getUint16(at + 22, true) };
    }
    if (name(at) === "data") return samplesOf(view, at + 8, Math.min(size, buffer.byteLength - at - 8), format);
    at += 8 + size + (size % 2);
  }
  throw new Error("that WAV file has no sound");
}

function samplesOf(view, from, size, { kind, channels, rate, bits }) {
  const readers = {
    "1/16": (at) => view.getInt16(at, true) / 32768,
    "1/24": (at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608,
    "3/32": (at) => view.getFloat32(at, true),
  };
  const read = readers[`${kind}/${bits}`];
  if (read === undefined) throw new Error(`WAV files of kind ${kind} with ${bits} bits are not read here`);
  const step = bits / 8;
  const samples = Math.floor(size / step / channels);
  const sound = Array.from({ length: channels }, () => new Float32Array(samples));
  for (let i = 0, at = from; i < samples; i++) {
    for (let c = 0; c < channels; c++, at += step) sound[c][i] = read(at);
  }
  return { sound, rate };
}
