// One voice: what it plays, how it came to be (a tree of states), and what it wants of its next take.

import { encode } from "./wav.js";

const MOST = 24;
export const USUAL = { periodic: 7, beat: 0, temperature: 0.85, feedback: false, overdub: true };

export class Voice {
  constructor(id) {
    this.id = id;
    this.how = { level: 1, pan: 0, mute: false, blend: 1 };
    this.wants = { ...USUAL };
    this.generating = false;
    this.pending = null; // a take that waits for the loop point
    this.clear();
  }

  clear() {
    this.nodes = new Map();
    this.at = null;
    this.count = 0;
    this.served = 0;
  }

  get node() {
    return this.nodes.get(this.at) ?? null;
  }

  /** Grow the tree by a state made from the present one, or from `parent`, and go there. */
  grow(kind, dry, wet, more = {}, parent = this.at) {
    const node = { id: this.count++, parent, kind, dry, wet, mask: null, wav: null, ...more };
    this.nodes.set(node.id, node);
    this.at = node.id;
    this.prune();
    return node;
  }

  /** The state that the present one was made from. */
  back() {
    const parent = this.node?.parent ?? null;
    if (parent === null || !this.nodes.has(parent)) return null;
    this.at = parent;
    return this.node;
  }

  go(id) {
    this.at = id;
    return this.node;
  }

  /** The state that takes are made from, as a WAV: the latest take with feedback, else the dry loop. */
  source(rate) {
    const node = this.node;
    if (this.wants.feedback && node.wet !== null) return node.wav ?? encode(node.wet, rate);
    return encode(node.dry, rate);
  }

  /** The state that the next take's parent is. */
  get base() {
    let node = this.node;
    while (!this.wants.feedback && node.kind === "take" && this.nodes.has(node.parent)) node = this.nodes.get(node.parent);
    return node;
  }

  /** Forget the oldest takes that nothing came of. */
  prune() {
    const takes = [...this.nodes.values()].filter((node) => node.kind === "take");
    const parents = new Set([...this.nodes.values()].map((node) => node.parent));
    let many = takes.length - MOST;
    for (const node of takes) {
      if (many <= 0) return;
      if (node.id === this.at || parents.has(node.id)) continue;
      this.nodes.delete(node.id);
      many -= 1;
    }
  }
}
