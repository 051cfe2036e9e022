// The two processors of the looper's page: the mixer, and a tap that hears what goes out.

import { Mixer } from "./mixer.js";

class MixerProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.none = new Float32Array(128);
    this.mixer = new Mixer(sampleRate, (event) => {
      const moved = ["dry", "wet"].flatMap((name) => (event[name] ? event[name].map((channel) => channel.buffer) : []));
      this.port.postMessage(event, moved);
    });
    this.port.onmessage = ({ data }) => this.mixer.order(data);
    this.level = 0;
    this.since = 0;
  }

  process([input], [output]) {
    const left = input[0] ?? this.none;
    this.mixer.run([left, input[1] ?? left], output);
    for (const value of left) this.level = Math.max(this.level, Math.abs(value));
    this.since += output[0].length;
    if (this.since >= sampleRate / 20) {
      const { at, frame, playing, recording } = this.mixer;
      const recorded = recording !== null && recording.first ? recording.samples : 0;
      this.port.postMessage({ type: "where", at, frame, playing, level: this.level, recorded });
      this.since = this.level = 0;
    }
    return true;
  }
}

/** Sends what it hears, in pieces of a quarter of a second, while it is switched on. */
class TapProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.on = false;
    this.port.onmessage = ({ data }) => {
      if (this.on && !data.on) this.send();
      this.on = data.on;
    };
    this.begin();
  }

  begin() {
    this.piece = [new Float32Array(sampleRate / 4), new Float32Array(sampleRate / 4)];
    this.filled = 0;
    this.frame = currentFrame;
  }

  send() {
    const sound = this.piece.map((channel) => channel.slice(0, this.filled));
    this.port.postMessage({ frame: this.frame, sound });
    this.begin();
  }

  process([input]) {
    if (!this.on) return true;
    if (this.filled === 0) this.frame = currentFrame;
    for (let i = 0; i < 128; i++) {
      for (let c = 0; c < 2; c++) this.piece[c][this.filled] = input[c]?.[i] ?? input[0]?.[i] ?? 0;
      this.filled += 1;
      if (this.filled === this.piece[0].length) {
        this.send();
        this.frame = currentFrame + i + 1;
      }
    }
    return true;
  }
}

registerProcessor("ostinato-mixer", MixerProcessor);
registerProcessor("ostinato-tap", TapProcessor);
