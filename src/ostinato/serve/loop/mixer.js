// The looper's sound: voices in step on one loop of whole samples. It knows no page and no clock but its own count of
// samples, so the worklet runs it live and the page runs it ahead of time, with the same result to the sample.

export const FADE = 0.005;
export const SWAP = 0.01;

const CHANNELS = 2;

/** Gains of a level and a pan (-1 to 1) for left and right; both 1 at level 1 in the middle. */
export function gains(level, pan) {
  return [level * Math.min(1, 1 - pan), level * Math.min(1, 1 + pan)];
}

function silence(samples) {
  return Array.from({ length: CHANNELS }, () => new Float32Array(samples));
}

function copy(sound) {
  return sound.map((channel) => channel.slice());
}

class Voice {
  constructor() {
    this.dry = null;
    this.wet = null;
    this.next = null; // {dry, wet, tag}: taken up at the loop point, or at once
    this.old = null; // {dry, wet, left}: fading away
    this.how = { level: 1, pan: 0, mute: false, blend: 1 };
    this.now = [0, 0, 1]; // left, right, blend: they glide to what `how` says
  }

  wanted() {
    const { level, pan, mute, blend } = this.how;
    return [...(mute ? [0, 0] : gains(level, pan)), blend];
  }

  settle() {
    this.now = this.wanted();
  }
}

function heard(state, channel, at, blend) {
  const dry = state.dry === null ? 0 : state.dry[channel][at];
  if (state.wet === null || blend === 0) return dry;
  const wet = state.wet[channel][at];
  return blend === 1 ? wet : dry * (1 - blend) + wet * blend;
}

export class Mixer {
  /** `tell(event)` hears what happened: {type: "length" | "recorded" | "dropped" | "swapped" | "loop", ...}. */
  constructor(rate, tell = () => {}) {
    this.rate = rate;
    this.tell = tell;
    this.voices = new Map();
    this.length = 0; // samples of the loop; 0 before there is one
    this.wanted = 0; // samples that the first recording shall have; 0 is until it is stopped
    this.at = 0; // place in the loop
    this.frame = 0; // samples since the start
    this.playing = false;
    this.recording = null;
    this.sealing = null;
    this.monitor = 0;
    this.fade = Math.max(1, Math.round(FADE * rate));
    this.swap = Math.max(1, Math.round(SWAP * rate));
    this.glide = 1 - Math.exp(-1 / (0.003 * rate));
  }

  voice(id) {
    if (!this.voices.has(id)) this.voices.set(id, new Voice());
    return this.voices.get(id);
  }

  /** The one place where orders come in; see the cases. */
  order(what) {
    switch (what.type) {
      case "how": {
        Object.assign(this.voice(what.id).how, what.how);
        break;
      }
      case "put": { // a state of a voice: at the loop point, or at once
        const voice = this.voice(what.id);
        const state = { dry: what.dry, wet: what.wet, tag: what.tag };
        if (what.at === "loop" && this.playing && this.length > 0) voice.next = state;
        else this.take(what.id, voice, state);
        break;
      }
      case "hold": { // take up nothing at the loop point
        this.voice(what.id).next = null;
        break;
      }
      case "length": {
        this.length = what.samples;
        this.at = 0;
        this.began();
        break;
      }
      case "play": {
        this.playing = what.on && this.length > 0;
        if (what.on && !what.resume) this.at = 0;
        break;
      }
      case "wanted": {
        this.wanted = what.samples;
        break;
      }
      case "monitor": {
        this.monitor = what.level;
        break;
      }
      case "record": {
        if (what.on) this.punchIn(what);
        else this.punchOut();
        break;
      }
      case "forget": {
        this.voices.delete(what.id);
        break;
      }
      case "reset": {
        this.voices.clear();
        this.recording = null;
        this.length = this.at = 0;
        this.playing = false;
        break;
      }
    }
  }

  began() {
    this.playing = true;
    this.tell({ type: "length", samples: this.length, frame: this.frame - this.at });
  }

  take(id, voice, state) {
    if (voice.dry !== null) voice.old = { dry: voice.dry, wet: voice.wet, left: this.swap };
    voice.dry = state.dry;
    voice.wet = state.wet;
    voice.next = null;
    this.tell({ type: "swapped", id, tag: state.tag, frame: this.frame, at: this.at });
  }

  punchIn({ id, overdub, latency = 0 }) {
    if (this.recording !== null) return;
    const voice = this.voice(id);
    if (this.length === 0) {
      this.recording = { id, first: true, samples: 0, parts: [], part: null };
      return;
    }
    if (!this.playing) this.order({ type: "play", on: true });
    const dry = voice.dry === null ? silence(this.length) : copy(voice.dry);
    const wet = voice.wet === null ? null : copy(voice.wet);
    voice.dry = dry;
    voice.wet = wet;
    voice.next = null;
    this.recording = { id, first: false, overdub, latency: Math.round(latency), dry, wet, weight: 0, ending: false };
  }

  punchOut() {
    const recording = this.recording;
    if (recording === null) return;
    if (recording.first) this.closeFirst();
    else recording.ending = true;
  }

  /** The first recording becomes the loop; what follows it fades into its start while that is played. */
  closeFirst() {
    const { id, samples, parts } = this.recording;
    this.recording = null;
    if (samples < 2 * this.fade) {
      this.tell({ type: "dropped", id });
      return;
    }
    const dry = silence(samples);
    let at = 0;
    for (const part of parts) {
      const size = Math.min(part[0].length, samples - at);
      for (let c = 0; c < CHANNELS; c++) dry[c].set(part[c].subarray(0, size), at);
      at += size;
    }
    const voice = this.voice(id);
    voice.dry = dry;
    voice.wet = null;
    voice.settle();
    this.length = samples;
    this.at = 0;
    this.sealing = { id, dry, left: this.fade };
    this.began();
  }

  seal(input, i) {
    const { dry, left } = this.sealing;
    const at = this.fade - left;
    const old = left / this.fade;
    for (let c = 0; c < CHANNELS; c++) dry[c][at] = dry[c][at] * (1 - old) + input[c][i] * old;
    this.sealing.left -= 1;
    if (this.sealing.left === 0) {
      this.recorded(this.sealing.id, dry, null);
      this.sealing = null;
    }
  }

  recorded(id, dry, wet) {
    this.tell({ type: "recorded", id, dry: copy(dry), wet: wet === null ? null : copy(wet), frame: this.frame });
  }

  write(input, i) {
    const recording = this.recording;
    if (recording.first) {
      this.writeFirst(recording, input, i);
      return;
    }
    const step = 1 / this.fade;
    recording.weight = recording.ending ? recording.weight - step : Math.min(1, recording.weight + step);
    if (recording.weight <= 0) {
      this.recording = null;
      this.recorded(recording.id, recording.dry, recording.wet);
      return;
    }
    const at = (((this.at - recording.latency) % this.length) + this.length) % this.length;
    for (const sound of [recording.dry, recording.wet]) {
      if (sound === null) continue;
      for (let c = 0; c < CHANNELS; c++) {
        const kept = recording.overdub ? 1 : 1 - recording.weight;
        sound[c][at] = sound[c][at] * kept + input[c][i] * recording.weight;
      }
    }
  }

  writeFirst(recording, input, i) {
    const place = recording.samples % this.rate;
    if (place === 0) recording.parts.push(silence(this.rate));
    const part = recording.parts[recording.parts.length - 1];
    for (let c = 0; c < CHANNELS; c++) part[c][place] = input[c][i];
    recording.samples += 1;
    if (recording.samples === this.wanted) this.closeFirst();
  }

  loopPoint() {
    for (const [id, voice] of this.voices) {
      if (voice.next !== null) this.take(id, voice, voice.next);
    }
    this.tell({ type: "loop", frame: this.frame });
  }

  /** One stretch: `input` and `output` are two channels of as many samples as there are. */
  run(input, output) {
    const samples = output[0].length;
    for (let i = 0; i < samples; i++) {
      if (this.playing && this.at === 0) this.loopPoint();
      if (this.sealing) this.seal(input, i);
      let left = input[0][i] * this.monitor;
      let right = input[1][i] * this.monitor;
      if (this.playing) {
        for (const voice of this.voices.values()) {
          if (voice.dry === null) continue;
          const now = voice.now;
          const want = voice.wanted();
          for (let k = 0; k < 3; k++) {
            const apart = want[k] - now[k];
            now[k] = Math.abs(apart) < 1e-4 ? want[k] : now[k] + apart * this.glide;
          }
          let l = heard(voice, 0, this.at, now[2]);
          let r = heard(voice, 1, this.at, now[2]);
          if (voice.old !== null) {
            const old = voice.old.left / this.swap;
            l = l * (1 - old) + heard(voice.old, 0, this.at, now[2]) * old;
            r = r * (1 - old) + heard(voice.old, 1, this.at, now[2]) * old;
            voice.old.left -= 1;
            if (voice.old.left === 0) voice.old = null;
          }
          left += l * now[0];
          right += r * now[1];
        }
      }
      output[0][i] = left;
      output[1][i] = right;
      const going = this.playing; // a first recording that ends here is played from the next sample on
      if (this.recording !== null) this.write(input, i);
      if (going) this.at = (this.at + 1) % this.length;
      this.frame += 1;
    }
  }
}

/** One pass of the loop as it sounds: of all voices, or of one without its level and pan. `states`: [{dry, wet, how}]. */
export function bounce(states, length, rate) {
  const mixer = new Mixer(rate);
  states.forEach((state, id) => {
    mixer.order({ type: "how", id, how: state.how });
    mixer.order({ type: "put", id, at: "now", dry: state.dry, wet: state.wet });
    mixer.voice(id).settle();
  });
  mixer.order({ type: "length", samples: length });
  const output = silence(length);
  mixer.run(silence(length), output);
  return output;
}
