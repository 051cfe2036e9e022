// Takes for the voices that want them, one at a time, each asked for so that it is there before the loop point.

import { decode } from "./wav.js";

const LEAST = 0.12;
const EARLY = 0.1; // seconds before the loop point at which a take shall be there
const client = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());

export async function ask(wav, settings) {
  const query = new URLSearchParams({ client, settings: JSON.stringify(settings) });
  const answer = await fetch(`take?${query}`, { method: "POST", body: wav, headers: { "content-type": "audio/wav" } });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `the server answered ${answer.status}`);
  }
  const about = JSON.parse(answer.headers.get("x-ostinato-take"));
  const bytes = await answer.arrayBuffer();
  return { ...about, bytes, ...decode(bytes) };
}

/** Bits of a mask, codebook by codebook. */
export function unpack({ mask, codebooks, frames }) {
  const bytes = Uint8Array.from(atob(mask), (letter) => letter.charCodeAt(0));
  const bits = new Uint8Array(codebooks * frames);
  for (let i = 0; i < bits.length; i++) bits[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
  return { codebooks, frames, bits };
}

export class Generator {
  /** `say(voice, text, late)` is told how each voice stands; `made(voice, take, parent)` gets its takes. */
  constructor(engine, voices, { say, made }) {
    Object.assign(this, { engine, voices, say, made });
    this.running = false;
    this.early = EARLY;
  }

  wanting() {
    const ready = this.voices.filter((voice) => voice.generating && voice.node !== null && voice.pending === null);
    return ready.sort((one, other) => one.served - other.served);
  }

  /** Go on until no voice wants anything. */
  async run() {
    if (this.running) return;
    this.running = true;
    try {
      for (let wanting = this.wanting(); wanting.length > 0 && this.engine.length > 0; wanting = this.wanting()) {
        await this.next(wanting[0], wanting.length);
      }
    } finally {
      this.running = false;
    }
  }

  async next(voice, among) {
    const { engine } = this;
    const loop = engine.length / engine.rate;
    let left = engine.left - this.early;
    while (left / among < LEAST) left += loop;
    const base = voice.base;
    const { periodic, beat, temperature } = voice.wants;
    const beats = beat > 0 ? engine.beats : 0;
    const began = performance.now();
    const due = began + 1000 * (left + this.early);
    const deadline = Math.min(120, left / among);
    voice.served += 1;
    try {
      const source = voice.source(engine.rate);
      const take = await ask(source, { periodic, beat, beats, temperature, deadline });
      const trip = (performance.now() - began) / 1000;
      this.early = Math.max(EARLY, 0.9 * this.early, Math.min(loop / 2, trip - deadline + EARLY)); // late once, early from then on
      if (!voice.generating || voice.base !== base || take.sound[0].length !== engine.length) return;
      const late = performance.now() > due;
      const why = trip > loop ? "this machine needs longer than a loop" : "this take missed the loop point";
      this.say(voice, late ? `${why}; the last take plays on` : `${take.steps} steps in ${trip.toFixed(1)} s`, late);
      this.made(voice, take, base);
    } catch (error) {
      this.say(voice, `${error.message}; the last take plays on`, true);
      await new Promise((done) => setTimeout(done, 1000 * Math.min(5, loop)));
    }
  }
}
