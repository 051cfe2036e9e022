// MIDI: which key or pedal does what, and any can be taught; and a sequencer's clock.

const NAME = "ostinato-midi";
const USUAL = { "note 60": "record", "note 62": "generate", "note 64": "undo", "control 64": "record" };

const TICK = 0xf8;
const TRANSPORT = { 0xfa: "start", 0xfb: "continue", 0xfc: "stop" };
const QUARTER = 24; // ticks
const HEARD = 4 * QUARTER; // ticks over which the tempo is taken
const APART = 200; // milliseconds; a longer pause between ticks is the clock's beginning anew

/** The tempo and the transport of a MIDI clock; `tempo(bpm)` and `transport(what)` are told of them. */
export class Clock {
  constructor({ tempo, transport }) {
    Object.assign(this, { tempo, transport });
    this.ticks = [];
  }

  /** A message and when it came, in milliseconds; whether it was one of a clock. */
  hear(status, time) {
    if (TRANSPORT[status]) this.transport(TRANSPORT[status]);
    if (status === TICK) this.tick(time);
    return status === TICK || TRANSPORT[status] !== undefined;
  }

  tick(time) {
    const { ticks } = this;
    if (time - ticks.at(-1) > APART) ticks.length = 0;
    ticks.push(time);
    if (ticks.length > HEARD + 1) ticks.shift();
    const many = ticks.length - 1;
    if (many >= QUARTER && many % QUARTER === 0) this.tempo((60000 * many) / (QUARTER * (time - ticks[0])));
  }
}

export class Midi {
  /** `act(action)` is called with record, generate or undo; the clock with what a sequencer tells. */
  constructor(act, clock) {
    this.act = act;
    this.clock = clock;
    this.teaching = null;
    this.map = { ...USUAL, ...JSON.parse(localStorage.getItem(NAME) ?? "{}") };
  }

  async open() {
    const access = await navigator.requestMIDIAccess();
    const attach = () => access.inputs.forEach((input) => (input.onmidimessage = ({ data, timeStamp }) => this.hear(data, timeStamp)));
    access.onstatechange = attach;
    attach();
    return access.inputs.size;
  }

  teach(action) {
    this.teaching = action;
  }

  hear([status, number, value], time) {
    if (this.clock.hear(status, time)) return;
    const kind = { 0x90: "note", 0xb0: "control" }[status & 0xf0];
    if (kind === undefined || value === 0) return;
    const name = `${kind} ${number}`;
    if (this.teaching !== null) {
      this.map = { ...Object.fromEntries(Object.entries(this.map).filter(([, does]) => does !== this.teaching)), [name]: this.teaching };
      localStorage.setItem(NAME, JSON.stringify(this.map));
      this.teaching = null;
      return;
    }
    if (this.map[name]) this.act(this.map[name]);
  }
}
