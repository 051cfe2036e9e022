// A session as one file: a table in JSON, then its sounds as floats; and the latest one kept by the browser.

const MARK = "OSTLOOP1";

export function pack(session) {
  const sounds = [];
  const known = new Map();
  const place = (sound) => {
    if (sound === null) return null;
    if (!known.has(sound)) {
      known.set(sound, sounds.length);
      sounds.push(sound);
    }
    return known.get(sound);
  };
  const voices = session.voices.map((voice) => ({
    id: voice.id,
    how: voice.how,
    wants: voice.wants,
    at: voice.at,
    count: voice.count,
    nodes: [...voice.nodes.values()].map(({ id, parent, kind, dry, wet, mask, seed }) => ({
      id, parent, kind, seed, dry: place(dry), wet: place(wet), mask: mask && { ...mask, bits: [...mask.bits].join("") },
    })),
  }));
  const table = { rate: session.rate, length: session.length, beats: session.beats, voices, sounds: sounds.length };
  const text = new TextEncoder().encode(JSON.stringify(table));
  const head = new Uint8Array(12);
  head.set(new TextEncoder().encode(MARK));
  new DataView(head.buffer).setUint32(8, text.length, true);
  return new Blob([head, text, ...sounds.flat()]);
}

/** Read back what `pack` made; throws where it is something else, or damaged. */
export async function unpack(blob) {
  const buffer = await blob.arrayBuffer();
  if (buffer.byteLength < 12 || new TextDecoder().decode(buffer.slice(0, 8)) !== MARK) throw new Error("that is no session of the looper");
  const size = new DataView(buffer).getUint32(8, true);
  const table = JSON.parse(new TextDecoder().decode(buffer.slice(12, 12 + size)));
  const bytes = table.length * 4;
  if (buffer.byteLength !== 12 + size + 2 * bytes * table.sounds) throw new Error("that session is damaged");
  const channel = (number) => new Float32Array(buffer.slice(12 + size + number * bytes, 12 + size + (number + 1) * bytes));
  const sounds = Array.from({ length: table.sounds }, (_, k) => [channel(2 * k), channel(2 * k + 1)]);
  const sound = (number) => (number === null ? null : sounds[number]);
  for (const voice of table.voices) {
    for (const node of voice.nodes) {
      node.dry = sound(node.dry);
      node.wet = sound(node.wet);
      node.wav = null;
      if (node.mask) node.mask.bits = Uint8Array.from(node.mask.bits, Number);
    }
  }
  return table;
}

function shelf() {
  return new Promise((done, failed) => {
    const asked = indexedDB.open("ostinato-looper", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("sessions");
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
}

async function onShelf(mode, work) {
  const database = await shelf();
  return new Promise((done, failed) => {
    const asked = work(database.transaction("sessions", mode).objectStore("sessions"));
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  }).finally(() => database.close());
}

/** Hand a file to the user. */
export function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export const keep = (blob) => onShelf("readwrite", (store) => store.put(blob, "latest"));
export const kept = () => onShelf("readonly", (store) => store.get("latest"));
