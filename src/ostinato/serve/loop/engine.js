// The audio graph: microphone, mixer, tap, loudspeaker; and where the loop is.

export class Engine extends EventTarget {
  constructor() {
    super();
    this.context = null;
    this.length = 0;
    this.beats = 0; // of the loop, where its length was set in beats
    this.origin = 0;
    this.where = { at: 0, frame: 0, playing: false, level: 0, recorded: 0, time: 0 };
    this.tapped = null;
  }

  get rate() {
    return this.context.sampleRate;
  }

  /** Start the graph; browsers let a page do so once its user has touched it. */
  async start() {
    if (this.context === null) this.starting = this.build();
    await this.starting;
    if (this.context.state !== "running") await this.context.resume();
  }

  async build() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.context.audioWorklet.addModule("worklet.js");
    const one = { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [2] };
    this.mixer = new AudioWorkletNode(this.context, "ostinato-mixer", one);
    this.tap = new AudioWorkletNode(this.context, "ostinato-tap", { numberOfInputs: 1, numberOfOutputs: 0 });
    this.mixer.connect(this.context.destination);
    this.mixer.connect(this.tap);
    this.mixer.port.onmessage = ({ data }) => this.hear(data);
    this.tap.port.onmessage = ({ data }) => this.tapped?.push(data);
  }

  /** Ask for the microphone, once; without effects that phones put on speech. */
  async listen() {
    await this.start();
    if (this.microphone) return;
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    this.microphone = this.context.createMediaStreamSource(stream);
    this.microphone.connect(this.mixer);
  }

  hear(event) {
    if (event.type === "where") this.where = { ...event, time: this.context.currentTime };
    if (event.type === "length") {
      this.length = event.samples;
      this.origin = event.frame;
    }
    if (event.type === "loop") this.where = { ...this.where, at: 0, frame: event.frame, playing: true, time: this.context.currentTime };
    this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
  }

  order(what) {
    this.mixer?.port.postMessage(what);
  }

  /** Where in the loop it is now, in samples. */
  get at() {
    if (!this.where.playing || this.length === 0) return this.where.at;
    return (this.where.at + (this.context.currentTime - this.where.time) * this.rate) % this.length;
  }

  /** Seconds to the next loop point. */
  get left() {
    return (this.length - this.at) / this.rate;
  }

  /** Samples by which what is played along to the loop comes late: out to the ears and in again. */
  get latency() {
    const { baseLatency = 0, outputLatency = 0 } = this.context;
    return Math.round((baseLatency + outputLatency) * this.rate);
  }

  capture(on) {
    if (on) this.tapped = [];
    this.tap.port.postMessage({ on });
  }
}
