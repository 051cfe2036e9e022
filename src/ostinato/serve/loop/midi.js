// MIDI: which key or pedal does what; any can be taught.

const NAME = "ostinato-midi";
const USUAL = { "note 60": "record", "note 62": "generate", "note 64": "undo", "control 64": "record" };

export class Midi {
  /** `act(action)` is called with record, generate or undo. */
  constructor(act) {
    this.act = act;
    this.teaching = null;
    this.map = { ...USUAL, ...JSON.parse(localStorage.getItem(NAME) ?? "{}") };
  }

  async open() {
    const access = await navigator.requestMIDIAccess();
    const attach = () => access.inputs.forEach((input) => (input.onmidimessage = ({ data }) => this.hear(data)));
    access.onstatechange = attach;
    attach();
    return access.inputs.size;
  }

  teach(action) {
    this.teaching = action;
  }

  hear([status, number, value]) {
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
