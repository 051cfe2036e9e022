// The looper's page: what is pressed becomes orders to the mixer, and what the mixer and the server tell is shown.

import { Engine } from "./engine.js";
import { Generator, unpack as bitsOf } from "./generate.js";
import { Clock, Midi } from "./midi.js";
import { bounce } from "./mixer.js";
import { draw } from "./picture.js";
import { keep, kept, offer, pack, unpack } from "./session.js";
import { Voice } from "./voice.js";
import { encode } from "./wav.js";

const MOST = 8;
const KNOBS = ["level", "pan", "blend"];
const WANTS = ["periodic", "beat", "temperature"];
const SWITCHES = ["feedback", "overdub"];
const find = (name) => document.getElementById(name);

const engine = new Engine();
const voices = [];
const generator = new Generator(engine, voices, { say: stand, made: taken });
const clock = new Clock({ tempo: (bpm) => (find("bpm").value = bpm.toFixed(1)), transport: (what) => play(what !== "stop", what === "continue") });
const midi = new Midi((action) => chosen && actions[action]?.(chosen), clock);
let chosen = null;
let recording = null;

function tell(text, bad = false) {
  find("told").textContent = text;
  find("told").classList.toggle("bad", bad);
}

/** Do what a button says; what goes wrong is told in words. */
async function safely(work) {
  try {
    await work();
  } catch (error) {
    const words = { NotAllowedError: "the microphone is not allowed here; allow it, or drop a file on a voice", NotFoundError: "there is no microphone; drop a file on a voice" };
    tell(words[error.name] ?? error.message, true);
  }
}

function press(button, on) {
  button.setAttribute("aria-pressed", String(on));
}

function stand(voice, text, late = false) {
  voice.part.state.textContent = text;
  voice.part.state.classList.toggle("late", late);
}

// ---- voices

function addVoice(id = voices.length) {
  if (voices.length >= MOST) return null;
  const voice = new Voice(id);
  const section = find("voice").content.cloneNode(true).firstElementChild;
  const part = { section };
  for (const name of ["name", "record", "generate", "undo", "commit", "mute", "export", "state", "tree", ...KNOBS, ...WANTS, ...SWITCHES]) {
    part[name] = section.querySelector(`.${name}`);
  }
  part.canvas = section.querySelector("canvas");
  part.file = section.querySelector("input[type=file]");
  part.name.textContent = `Voice ${id + 1}`;
  section.dataset.voice = id;
  voice.part = part;
  voices.push(voice);
  find("voices").append(section);
  wire(voice);
  show(voice);
  if (chosen === null) choose(voice);
  return voice;
}

function wire(voice) {
  const { part } = voice;
  part.section.addEventListener("pointerdown", () => choose(voice));
  part.section.addEventListener("focusin", () => choose(voice));
  for (const name of ["record", "generate", "undo", "commit", "mute"]) part[name].onclick = () => actions[name](voice);
  part.export.onclick = () => safely(() => save(bounce([{ ...voice.node, how: { level: 1, pan: 0, mute: false, blend: voice.how.blend } }], engine.length, engine.rate), `voice-${voice.id + 1}.wav`));
  for (const name of KNOBS) part[name].oninput = () => turn(voice, { [name]: Number(part[name].value) });
  for (const name of WANTS) part[name].onchange = () => (voice.wants[name] = Number(part[name].value));
  for (const name of SWITCHES) part[name].onchange = () => (voice.wants[name] = part[name].checked);
  part.file.onchange = () => safely(() => load(voice, part.file.files[0]).finally(() => (part.file.value = "")));
  part.section.ondragover = (event) => {
    event.preventDefault();
    part.section.classList.add("over");
  };
  part.section.ondragleave = () => part.section.classList.remove("over");
  part.section.ondrop = (event) => {
    event.preventDefault();
    part.section.classList.remove("over");
    void safely(() => load(voice, event.dataTransfer.files[0]));
  };
}

function choose(voice) {
  chosen = voice;
  for (const each of voices) each.part.section.classList.toggle("chosen", each === voice);
}

function turn(voice, how) {
  Object.assign(voice.how, how);
  engine.order({ type: "how", id: voice.id, how: voice.how });
  keepSoon();
}

/** Show the state of a voice. */
function show(voice) {
  const { part, node } = voice;
  for (const name of KNOBS) part[name].value = voice.how[name];
  for (const name of WANTS) part[name].value = voice.wants[name];
  for (const name of SWITCHES) part[name].checked = voice.wants[name];
  part.section.classList.toggle("empty", node === null);
  press(part.generate, voice.generating);
  press(part.mute, voice.how.mute);
  part.undo.disabled = node === null || !voice.nodes.has(node.parent);
  part.commit.disabled = node === null || node.wet === null;
  part.generate.disabled = part.export.disabled = node === null;
  part.tree.replaceChildren(...[...voice.nodes.values()].map((each) => chip(voice, each)));
}

function chip(voice, node) {
  const button = document.createElement("button");
  const depth = (each, deep = 0) => (voice.nodes.has(each.parent) ? depth(voice.nodes.get(each.parent), deep + 1) : deep);
  button.textContent = `${"· ".repeat(Math.min(6, depth(node)))}${node.kind} ${node.id}`;
  button.title = node.seed ? `seed ${node.seed}` : node.kind;
  press(button, node.id === voice.at);
  button.onclick = () => {
    rest(voice);
    put(voice, voice.go(node.id));
  };
  return button;
}

/** Play a state at once. */
function put(voice, node) {
  voice.pending = null;
  engine.order({ type: "put", id: voice.id, at: "now", dry: node.dry, wet: node.wet, tag: null });
  show(voice);
}

/** Stop a voice from changing by itself. */
function rest(voice) {
  voice.generating = false;
  voice.pending = null;
  engine.order({ type: "hold", id: voice.id });
  stand(voice, voice.node === null ? "empty" : "plays");
  if (voice.node !== null) keepSoon();
}

/** A take has come: it waits for the loop point. */
function taken(voice, take, parent) {
  const sound = take.sound.length === 1 ? [take.sound[0], take.sound[0]] : take.sound;
  voice.pending = { sound, take, parent };
  engine.order({ type: "put", id: voice.id, at: "loop", dry: parent.dry, wet: sound, tag: take.seed });
}

function swapped({ id, tag, frame }) {
  const voice = voices.find((each) => each.id === id);
  if (tag === null || voice?.node == null) return;
  if (voice.pending === null || voice.pending.take.seed !== tag) {
    put(voice, voice.node); // it came while it was no longer wanted
    return;
  }
  const { sound, take, parent } = voice.pending;
  voice.pending = null;
  voice.grow("take", parent.dry, sound, { mask: bitsOf(take), wav: take.bytes, seed: take.seed, frame }, parent.id);
  show(voice);
  void generator.run();
}

// ---- what can be pressed

const actions = {
  record: (voice) => safely(() => record(voice)),
  generate(voice) {
    if (voice.node === null) return;
    voice.generating = !voice.generating;
    if (voice.generating) stand(voice, "makes its next take");
    else rest(voice);
    if (!engine.where.playing) play(true);
    show(voice);
    void generator.run();
  },
  undo(voice) {
    rest(voice);
    const node = voice.back();
    if (node !== null) put(voice, node);
    show(voice);
  },
  commit(voice) {
    if (voice.node?.wet == null) return;
    put(voice, voice.grow("commit", voice.node.wet, null));
  },
  mute(voice) {
    turn(voice, { mute: !voice.how.mute });
    show(voice);
  },
};

async function record(voice) {
  await engine.listen();
  if (recording !== null) {
    engine.order({ type: "record", on: false });
    return;
  }
  voice.resume = voice.generating;
  rest(voice);
  recording = voice;
  const latency = engine.latency + (Number(find("latency").value) * engine.rate) / 1000;
  if (engine.length === 0) {
    engine.beats = beats();
    engine.order({ type: "wanted", samples: timed() });
  }
  engine.order({ type: "record", on: true, id: voice.id, overdub: voice.wants.overdub, latency });
  press(voice.part.record, true);
  stand(voice, engine.length === 0 ? "records; press again where the loop shall end" : "records into the loop");
}

function recorded({ id, dry, wet }) {
  const voice = voices.find((each) => each.id === id);
  const kind = voice.node === null ? "loop" : "overdub";
  voice.grow(kind, dry, wet);
  stopped(voice);
  voice.generating = voice.resume;
  show(voice);
  keepSoon();
  void generator.run();
}

function stopped(voice) {
  recording = null;
  press(voice.part.record, false);
  stand(voice, voice.node === null ? "empty" : "plays");
}

/** The beats of the loop, as they were set; 0 where they were not. */
function beats() {
  return find("timed").checked ? 4 * Number(find("bars").value) : 0;
}

/** The samples of the loop, as its beats were set; 0 where they were not. */
function timed() {
  return Math.round((beats() * 60 * engine.rate) / Number(find("bpm").value));
}

function play(on, resume = false) {
  engine.order({ type: "play", on, resume });
  press(find("play"), on && engine.length > 0);
}

/** A file becomes the dry loop of a voice; the first one sets the length. */
async function load(voice, file) {
  if (file === undefined) return;
  await engine.start();
  const bytes = await file.arrayBuffer();
  const found = await engine.context.decodeAudioData(bytes).catch(() => {
    throw new Error(`${file.name} is no sound that this browser reads`);
  });
  const samples = engine.length || timed() || found.length;
  if (engine.length === 0) engine.beats = beats();
  const dry = [0, Math.min(1, found.numberOfChannels - 1)].map((c) => {
    const channel = new Float32Array(samples);
    channel.set(found.getChannelData(c).subarray(0, samples));
    return channel;
  });
  rest(voice);
  const node = voice.grow(voice.node === null ? "loop" : "file", dry, null);
  engine.order({ type: "put", id: voice.id, at: "now", dry: node.dry, wet: null, tag: null });
  if (engine.length === 0) engine.order({ type: "length", samples });
  stand(voice, "plays");
  show(voice);
  keepSoon();
}

// ---- files and sessions

function save(sound, name) {
  offer(new Blob([encode(sound, engine.rate)], { type: "audio/wav" }), name);
}

function session() {
  return pack({ rate: engine.rate, length: engine.length, beats: engine.beats, voices });
}

let keeping = 0;
function keepSoon() {
  clearTimeout(keeping);
  keeping = setTimeout(() => engine.length > 0 && keep(session()).catch(() => {}), 1000);
}

async function reopen(blob) {
  if (blob === undefined) throw new Error("this browser has kept no session yet");
  const table = await unpack(blob);
  await engine.start();
  if (table.rate !== engine.rate) throw new Error(`that session is at ${table.rate} Hz and this browser plays at ${engine.rate} Hz`);
  clear();
  for (const told of table.voices) {
    const voice = voices.find((each) => each.id === told.id) ?? addVoice(told.id);
    Object.assign(voice, { how: told.how, wants: told.wants, at: told.at, count: told.count });
    voice.nodes = new Map(told.nodes.map((node) => [node.id, node]));
    turn(voice, {});
    if (voice.node !== null) put(voice, voice.node);
    stand(voice, voice.node === null ? "empty" : "plays");
    show(voice);
  }
  engine.beats = table.beats ?? 0;
  engine.order({ type: "length", samples: table.length });
  tell("The session is open.");
}

function clear() {
  engine.order({ type: "reset" });
  engine.length = 0;
  recording = null;
  for (const voice of voices) {
    voice.generating = false;
    voice.pending = null;
    voice.clear();
    stand(voice, "empty");
    press(voice.part.record, false);
    show(voice);
  }
}

// ---- the page

engine.addEventListener("length", ({ detail }) => {
  press(find("play"), true);
  tell(`The loop lasts ${(detail.samples / engine.rate).toFixed(3)} s.`);
});
engine.addEventListener("recorded", ({ detail }) => recorded(detail));
engine.addEventListener("dropped", ({ detail }) => stopped(voices.find((each) => each.id === detail.id)));
engine.addEventListener("swapped", ({ detail }) => swapped(detail));
engine.addEventListener("where", ({ detail }) => (find("level").value = detail.level));

find("play").onclick = () => safely(() => engine.start().then(() => play(!engine.where.playing)));
find("add").onclick = () => addVoice();
find("monitor").oninput = () => engine.order({ type: "monitor", level: Number(find("monitor").value) });
find("mix").onclick = () => safely(() => {
  if (engine.length === 0) throw new Error("there is no loop yet");
  save(bounce(voices.filter((voice) => voice.node).map((voice) => ({ ...voice.node, how: voice.how })), engine.length, engine.rate), "mix.wav");
});
find("capture").onclick = () => safely(async () => {
  await engine.start();
  const on = find("capture").getAttribute("aria-pressed") !== "true";
  press(find("capture"), on);
  engine.capture(on);
  if (on) return;
  await new Promise((done) => setTimeout(done, 200));
  const pieces = engine.tapped;
  engine.tapped = null;
  const whole = [0, 1].map((c) => Float32Array.from(pieces.flatMap(({ sound }) => [...sound[c]])));
  if (whole[0].length > 0) save(whole, "performance.wav");
});
find("save").onclick = () => safely(() => offer(session(), "session.ostloop"));
find("open").onchange = () => safely(() => reopen(find("open").files[0]).finally(() => (find("open").value = "")));
find("latest").onclick = () => safely(async () => reopen(await kept()));
find("reset").onclick = () => clear();
find("midi").onclick = () => safely(async () => {
  if (!navigator.requestMIDIAccess) throw new Error("this browser has no MIDI; Chrome and Firefox do");
  const inputs = await midi.open();
  find("teach").disabled = false;
  tell(inputs === 0 ? "MIDI is on; no device is plugged in yet." : `MIDI is on, with ${inputs} device${inputs > 1 ? "s" : ""}.`);
});
find("teach").onchange = () => {
  midi.teach(find("teach").value || null);
  find("teach").value = "";
};
window.addEventListener("beforeunload", () => engine.length > 0 && keep(session()));

const KEYS = { r: "record", g: "generate", u: "undo", c: "commit", m: "mute" };
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=number], select") || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.key === " " && !event.target.matches("button, input")) find("play").click();
  else if (/^[1-8]$/.test(event.key) && voices[event.key - 1]) choose(voices[event.key - 1]);
  else if (KEYS[event.key] && chosen) actions[KEYS[event.key]](chosen);
  else return;
  event.preventDefault();
});

function frame() {
  if (engine.length > 0) {
    const share = engine.at / engine.length;
    find("clock").textContent = `${(engine.at / engine.rate).toFixed(1)} / ${(engine.length / engine.rate).toFixed(1)} s`;
    for (const voice of voices) draw(voice.part.canvas, voice.node, share);
  } else if (engine.where.recorded > 0) {
    find("clock").textContent = `${(engine.where.recorded / engine.rate).toFixed(1)} s`;
  } else {
    find("clock").textContent = "no loop yet";
    for (const voice of voices) draw(voice.part.canvas, null, 0);
  }
  requestAnimationFrame(frame);
}

for (let k = 0; k < 3; k++) addVoice();
requestAnimationFrame(frame);
window.looper = { engine, voices, midi, actions }; // for whoever wants to look inside
