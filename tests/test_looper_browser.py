"""The looper's page in a real browser, its microphone a file; what it renders is looked at by the sample."""

import base64
import io
import itertools
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import soundfile

from tests import sounds
from tests.server import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 150.0
BASE64 = """(sound) => {
  const bytes = new Uint8Array(sound.buffer, sound.byteOffset, sound.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}"""

JOINED = "Float32Array.from(looper.engine.tapped.flatMap(({{ sound }}) => [...sound[{channel}]]))"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    sound = tmp_path_factory.mktemp("microphone") / "sound.wav"
    soundfile.write(sound, sounds.loop(8.0, 48000), 48000)
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    fake += [f"--use-file-for-fake-audio-capture={sound}", "--autoplay-policy=no-user-gesture-required"]
    with playwright.sync_playwright() as running:
        made = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *fake])
        yield made
        made.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """The looper, from which nothing bad was heard when it closes."""
    bad: list[str] = []
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.on("pageerror", lambda error: bad.append(str(error)))
    opened.on("console", lambda said: bad.append(said.text) if said.type == "error" else None)
    _ = opened.goto(f"{server.url}/loop/")
    yield opened
    opened.close()
    assert [each for each in bad if "favicon" not in each and "404" not in each] == []


def until(page: Any, condition: str) -> None:
    """Wait without evaluating in the page by a timer, which its policy forbids."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never: {condition}"
        time.sleep(0.05)


def samples(page: Any, what: str) -> np.ndarray:
    """A Float32Array of the page."""
    return np.frombuffer(base64.b64decode(page.evaluate(f"() => ({BASE64})({what})")), np.float32)


def record(page: Any, seconds: float, voice: int = 0) -> None:
    button = page.locator(".voice").nth(voice).locator(".record")
    button.click()
    if voice == 0:
        until(page, f"looper.engine.where.recorded >= {seconds} * looper.engine.rate")
    else:
        time.sleep(seconds)
    button.click()
    until(page, f"looper.voices[{voice}].node !== null")


def load(page: Any, seconds: float, voice: int = 0, level: float | None = None) -> None:
    """Drop a file on a voice; with a level, one whose samples all have it."""
    content = sounds.file(seconds=seconds, seed=voice) if level is None else even(seconds, level)
    file = {"name": "loop.wav", "mimeType": "audio/wav", "buffer": content}
    page.locator(".voice").nth(voice).locator("input[type=file]").set_input_files(file)
    until(page, f"looper.voices[{voice}].node !== null")


def even(seconds: float, level: float) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.full(round(44100 * seconds), level, np.float32), 44100, format="WAV", subtype="FLOAT")
    return stream.getvalue()


def turn(page: Any, knob: str, value: float, voice: int = 0) -> None:
    """Move a slider or type a number, as a hand does."""
    part = page.locator(".voice").nth(voice).locator(f".{knob}")
    part.evaluate("(part, value) => { part.value = value; }", str(value))
    for event in ("input", "change"):
        part.dispatch_event(event)


def sounding(page: Any) -> np.ndarray:
    """What is heard for half a second, once all that glides has come to rest."""
    time.sleep(0.2)
    page.evaluate("looper.engine.capture(true)")
    time.sleep(0.5)
    return heard(page)


def saved(page: Any, button: Any) -> np.ndarray:
    """The channels of the WAV that a button hands out."""
    with page.expect_download() as file:
        button.click()
    return soundfile.read(file.value.path(), dtype="float32", always_2d=True)[0].T


def heard(page: Any) -> np.ndarray:
    """All that the tap heard, left and right, once it is sure that nothing is missing."""
    page.evaluate("looper.engine.capture(false)")
    time.sleep(0.5)
    frames = page.evaluate("looper.engine.tapped.map(({ frame, sound }) => [frame, sound[0].length])")
    for (frame, size), (following, _) in itertools.pairwise(frames):
        assert following == frame + size
    return np.stack([samples(page, JOINED.format(channel=channel)) for channel in (0, 1)])


def place_of(loop: np.ndarray, within: np.ndarray) -> int:
    """Where a loop first begins in what was heard, by its samples."""
    loud = int(np.argmax(np.abs(loop[:-512])))
    piece = loop[loud : loud + 512]
    for at in np.flatnonzero(within == piece[0]):
        if at >= loud and (within[at : at + 512] == piece).all():
            return int(at) - loud
    raise AssertionError("the loop was not heard")


def same(one: np.ndarray, other: np.ndarray, fade: int) -> bool:
    """Whether two passes are equal to the sample, but for the crossfade at their start."""
    return bool((one[fade:] == other[fade:]).all())


def test_takes_are_swapped_in_at_loop_points_without_a_gap_and_undo_restores_the_loop_to_the_sample(page: Any):
    voice = page.locator(".voice").first
    record(page, 2.0)
    length, rate = page.evaluate("[looper.engine.length, looper.engine.rate]")
    page.evaluate("looper.engine.capture(true)")
    time.sleep(2.5 * length / rate)
    voice.locator(".periodic").fill("0")
    voice.locator(".periodic").dispatch_event("change")
    voice.locator(".generate").click()
    until(page, "[...looper.voices[0].nodes.values()].filter((node) => node.kind === 'take').length >= 3")
    time.sleep(1.5 * length / rate)
    voice.locator(".undo").click()
    time.sleep(2.5 * length / rate)
    whole, fade = heard(page)[0], round(0.01 * rate)
    dry = samples(page, "looper.voices[0].nodes.get(0).dry[0]")
    made = page.evaluate("looper.voices[0].count")
    known = [dry, *(samples(page, f"looper.voices[0].nodes.get({k}).wet[0]") for k in range(1, made))]
    start = place_of(dry, whole) % length
    passes = [whole[at : at + length] for at in range(start, len(whole) - length + 1, length)]
    plays = [next((k for k, sound in enumerate(known) if same(each, sound, fade)), None) for each in passes]
    swaps = [k for k in range(1, len(plays)) if plays[k] not in (None, 0, plays[k - 1])]
    late = [np.flatnonzero(np.abs(passes[k] - passes[k - 1]) > 1e-5)[0] / rate for k in swaps]
    assert len(dry) == length
    assert len({each.tobytes() for each in known}) == len(known)
    assert plays[0] == 0
    assert len(swaps) >= 3
    assert max(late) < 0.005
    assert plays.count(None) <= 1  # the pass that was undone in its midst
    for k in swaps:  # nothing of a take is heard before the loop point
        assert (passes[k - 1][-fade:] == known[plays[k - 1]][-fade:]).all()
    assert plays[-1] == 0
    assert (passes[-1] == dry).all()


def test_a_slow_server_leaves_the_last_take_playing_and_says_so(page: Any):
    load(page, 1.0)
    page.route("**/take?*", lambda route: (time.sleep(2.5), route.continue_()))
    page.locator(".voice").first.locator(".generate").click()
    until(page, "document.querySelector('.state').classList.contains('late')")
    assert "plays on" in page.locator(".state").first.inner_text()


ASKED = """async () => {
  const { Generator } = await import("./generate.js");
  const { encode } = await import("./wav.js");
  const sound = [new Float32Array(8000), new Float32Array(8000)];
  const about = JSON.stringify({ seed: 1, steps: 1, mask: "", codebooks: 1, frames: 1, seconds: 0.1 });
  const asked = [], lateness = [0.3, 0, 0];
  window.fetch = async (address) => {
    const { deadline } = JSON.parse(new URL(address, document.baseURI).searchParams.get("settings"));
    asked.push(deadline);
    const wait = lateness[asked.length - 1] > 0 ? deadline + lateness[asked.length - 1] : 0;
    await new Promise((done) => setTimeout(done, 1000 * wait));
    return new Response(encode(sound, 8000), { headers: { "x-ostinato-take": about } });
  };
  const voice = { generating: true, node: {}, pending: null, base: {}, wants: {}, served: 0, source: () => null };
  const engine = { length: 8000, rate: 8000, left: 1 };
  const generator = new Generator(engine, [voice], { say() {}, made: () => (voice.generating = asked.length < 3) });
  await generator.run();
  return asked;
}"""


def test_after_a_take_that_came_late_the_next_ones_are_asked_for_earlier(page: Any):
    first, second, third = page.evaluate(ASKED)
    assert first == pytest.approx(0.9)
    assert second < first - 0.25
    assert second < third < first


GROWN = """() => {
  const voice = looper.voices[0];
  voice.wants.periodic = 3;
  const wet = voice.node.dry.map((channel) => channel.map((value) => -value));
  voice.grow("take", voice.node.dry, wet, { mask: { codebooks: 1, frames: 3, bits: Uint8Array.of(1, 0, 1) } });
}"""


def test_voices_are_in_step_and_the_mix_is_their_sum(page: Any):
    for voice in range(3):
        load(page, 1.0 + 0.2 * voice, voice)
    length = page.evaluate("looper.engine.length")
    assert page.evaluate("looper.voices.map((voice) => voice.node.dry[0].length)") == [length] * 3
    page.evaluate("looper.engine.capture(true)")
    time.sleep(2.5)
    whole = heard(page)
    parts = [samples(page, f"looper.voices[{k}].node.dry[0]").astype(np.float64) for k in range(3)]
    mix = np.float32(sum(parts))
    start = place_of(mix, whole[0])
    assert (whole[0, start : start + length] == mix).all()
    assert (saved(page, page.locator("#mix")) == mix).all()
    turn(page, "level", 0.5, 0)
    turn(page, "pan", -1, 1)
    page.locator(".voice").nth(2).locator(".mute").click()
    left = np.float32(np.float32(0.5 * parts[0]) + parts[1])
    assert np.abs(saved(page, page.locator("#mix")) - [left, 0.5 * parts[0]]).max() < 1e-6
    assert (saved(page, page.locator(".export").first) == np.float32(parts[0])).all()


def test_pan_level_and_the_fader_between_loop_and_take_do_what_they_say(page: Any):
    load(page, 0.5, level=0.25)
    page.evaluate(GROWN)
    page.evaluate("looper.actions.undo(looper.voices[0])")
    page.locator(".tree button").nth(1).click()
    assert (sounding(page) == -0.25).all()
    turn(page, "blend", 0)
    assert (sounding(page) == 0.25).all()
    turn(page, "blend", 0.25)
    turn(page, "level", 1.2)
    assert np.abs(sounding(page) - 0.15).max() < 1e-3
    turn(page, "pan", -0.5)
    assert np.abs(sounding(page) - [[0.15], [0.075]]).max() < 1e-3
    turn(page, "pan", 1)
    assert np.abs(sounding(page) - [[0.0], [0.15]]).max() < 1e-3


def test_commit_makes_the_take_the_loop_and_undo_gives_the_loop_back(page: Any):
    load(page, 0.5, level=0.25)
    commit = page.locator(".commit").first
    assert commit.is_disabled()
    page.evaluate(GROWN)
    page.evaluate("looper.actions.undo(looper.voices[0])")
    page.locator(".tree button").nth(1).click()
    commit.click()
    assert (samples(page, "looper.voices[0].node.dry[0]") == -0.25).all()
    assert page.evaluate("[looper.voices[0].node.kind, looper.voices[0].node.wet]") == ["commit", None]
    turn(page, "blend", 0)  # nothing but the loop
    assert (sounding(page) == -0.25).all()
    for _ in range(2):
        page.locator(".undo").first.click()
    assert (sounding(page) == 0.25).all()


def test_takes_are_made_of_the_loop_and_with_feedback_of_the_last_take(page: Any):
    load(page, 1.0)
    asked: list[bytes] = []
    page.on("request", lambda request: asked.append(request.post_data_buffer) if "take?" in request.url else None)
    page.locator(".generate").first.click()
    until(page, "looper.voices[0].count >= 3")
    page.locator(".feedback").first.check()
    many = page.evaluate("looper.voices[0].count")
    until(page, f"looper.voices[0].count >= {many + 3}")
    page.locator(".generate").first.click()
    loop, *_ = asked
    again = [each == loop for each in asked]
    assert again[:2] == [True, True]
    assert again[many + 1 : many + 3] == [False, False]
    assert len(set(asked[many + 1 : many + 3])) == 2
    parents = page.evaluate("[...looper.voices[0].nodes.values()].map((node) => node.parent)")
    assert parents[:3] == [None, 0, 0]
    assert parents[many + 2] == many + 1


@pytest.mark.parametrize(("overdub", "under"), [(True, 0.25), (False, 0.0)])
def test_recording_over_a_loop_adds_to_it_or_takes_its_place_and_undo_takes_it_back(
    page: Any, overdub: bool, under: float
):
    load(page, 2.0, level=0.25)
    page.locator(".overdub").first.set_checked(overdub)
    until(page, "looper.engine.where.playing && looper.engine.at < 0.3 * looper.engine.length")
    page.locator(".record").first.click()
    until(page, "looper.engine.at > 0.7 * looper.engine.length")
    page.locator(".record").first.click()
    until(page, "looper.voices[0].node.kind === 'overdub'")
    over = samples(page, "looper.voices[0].node.dry[0]").astype(np.float64)
    recorded = np.flatnonzero(over != 0.25)
    assert 0.3 * len(over) < len(recorded) < 0.9 * len(over)
    middle = over[recorded[0] : recorded[-1]][len(recorded) // 4 : -len(recorded) // 4]
    assert middle.std() > 1e-3  # what the microphone heard
    assert middle.mean() == pytest.approx(under, abs=0.05)
    page.locator(".undo").first.click()
    assert (sounding(page) == 0.25).all()


def test_what_is_captured_is_what_was_heard(page: Any):
    load(page, 0.5, level=0.25)
    page.locator("#capture").click()
    time.sleep(0.5)
    wave = saved(page, page.locator("#capture"))
    assert wave.shape[1] > 10_000
    assert (wave == 0.25).all()


def test_three_voices_change_at_the_same_loop_points(page: Any):
    for voice in range(3):
        load(page, 1.0, voice)
        page.locator(".generate").nth(voice).click()
    until(page, "looper.voices.every((voice) => voice.count >= 3)")
    frames = page.evaluate(
        "looper.voices.flatMap((voice) => [...voice.nodes.values()].slice(1).map((node) => node.frame))"
    )
    length, origin = page.evaluate("[looper.engine.length, looper.engine.origin]")
    assert [(frame - origin) % length for frame in frames] == [0] * len(frames)


DROP = """() => {
  const file = new File([looper.wave], "loop.wav", { type: "audio/wav" });
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(file);
  document.querySelector(".voice").dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
}"""


def test_a_sound_that_is_dropped_on_a_voice_is_its_loop_and_what_is_no_sound_is_told(page: Any):
    page.evaluate("(wave) => { looper.wave = Uint8Array.from(atob(wave), (letter) => letter.charCodeAt(0)); }", WAVE)
    page.evaluate(DROP)
    until(page, "looper.voices[0].node !== null")
    assert (samples(page, "looper.voices[0].node.dry[0]") == 0.25).all()
    page.evaluate("looper.wave = 'nonsense'")
    page.evaluate(DROP)
    until(page, "document.getElementById('told').textContent.includes('no sound that this browser reads')")


WAVE = base64.b64encode(even(0.5, 0.25)).decode()
DEVICE = """() => {
  looper.device = {};
  navigator.requestMIDIAccess = async () => ({ inputs: new Map([["a", looper.device]]) });
}"""
CLOCK = """(bpm) => {
  const tick = (k) => ({ data: [0xf8], timeStamp: 1000 + (k * 60000) / (24 * bpm) + (k % 2) });
  for (let k = 0; k <= 96; k++) looper.device.onmidimessage(tick(k));
}"""


def test_a_sequencer_s_clock_sets_the_tempo_and_the_beats_and_starts_and_stops(page: Any):
    page.evaluate(DEVICE)
    page.locator("#midi").click()
    until(page, "document.getElementById('told').textContent.includes('with 1 device')")
    page.evaluate(CLOCK, 137.5)
    assert page.locator("#bpm").input_value() == "137.5"
    page.locator("#timed").check()
    page.locator("#bars").fill("1")
    load(page, 2.0)
    until(page, "looper.engine.length > 0")
    length, rate = page.evaluate("[looper.engine.length, looper.engine.rate]")
    assert length == round(4 * 60 * rate / 137.5)
    turn(page, "beat", 100)
    with page.expect_request("**/take?*") as asked:
        page.locator(".generate").first.click()
    assert json.loads(parse_qs(urlsplit(asked.value.url).query)["settings"][0])["beats"] == 4
    page.locator(".generate").first.click()
    until(page, "looper.engine.where.playing && looper.engine.at > 0.5 * looper.engine.length")
    page.evaluate("looper.midi.hear([0xfc], 0)")
    until(page, "!looper.engine.where.playing")
    stopped = page.evaluate("looper.engine.where.at")
    assert page.locator("#play").get_attribute("aria-pressed") == "false"
    for message, goes_on in ((0xFB, True), (0xFA, False)):
        first = page.evaluate(PLAYS, message)
        assert (first >= stopped) == goes_on
        page.evaluate("looper.midi.hear([0xfc], 0)")
        until(page, "!looper.engine.where.playing")
        stopped = max(stopped, page.evaluate("looper.engine.where.at"))


PLAYS = """async (message) => {
  const found = new Promise((done) => {
    const hear = ({ detail }) => {
      if (!detail.playing) return;
      looper.engine.removeEventListener("where", hear);
      done(detail.at);
    };
    looper.engine.addEventListener("where", hear);
  });
  looper.midi.hear([message], 0);
  return found;
}"""

PICTURE = """async () => {
  const { draw } = await import("./picture.js");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [100, 20];
  const quiet = [new Float32Array(1000), new Float32Array(1000)];
  const bits = Uint8Array.from({ length: 20 }, (_, k) => Number(k === 1 || k >= 10));
  const node = { dry: quiet, wet: quiet, mask: { codebooks: 2, frames: 10, bits } };
  const row = (share, y) => {
    draw(canvas, node, share);
    const { data } = canvas.getContext("2d").getImageData(0, y, 100, 1);
    return Array.from({ length: 100 }, (_, x) => data[4 * x + 3]);
  };
  return [row(0.5, 3), row(0.8, 3), row(0.5, 15)];
}"""


def test_the_picture_shows_what_is_made_anew_and_where_the_loop_is(page: Any):
    half, later, below = (np.array(row) for row in page.evaluate(PICTURE))
    assert np.flatnonzero(half == 255).tolist() == [49, 50]
    assert np.flatnonzero(later == 255).tolist() == [79, 80]
    assert np.flatnonzero((half > 0) & (half < 255)).tolist() == list(range(10, 20))
    assert (below > 0).sum() > 90


KEPT = """import("./session.js").then(({ kept }) => kept()).then((blob) => blob?.text() ?? "")
  .then((text) => text.includes('"pan":-1'))"""


def test_the_latest_session_is_kept_and_opens_after_the_page_was_closed(page: Any):
    load(page, 0.5, level=0.25)
    turn(page, "pan", -1)
    until(page, KEPT)
    page.reload()
    assert page.evaluate("looper.voices[0].node") is None
    page.locator("#latest").click()
    until(page, "looper.voices[0].node !== null")
    assert page.locator(".pan").first.input_value() == "-1"
    until(page, "looper.engine.where.playing")
    assert np.abs(sounding(page) - [[0.25], [0.0]]).max() < 1e-6


def test_keys_and_midi_record_generate_and_undo(page: Any):
    load(page, 1.0)
    page.locator("h1").click()
    page.keyboard.press("m")
    assert page.evaluate("looper.voices[0].how.mute")
    page.keyboard.press("2")
    page.keyboard.press("r")
    until(page, "document.querySelectorAll('.record')[1].getAttribute('aria-pressed') === 'true'")
    time.sleep(0.4)
    page.evaluate("looper.midi.hear([0x90, 60, 100])")
    until(page, "looper.voices[1].node !== null")
    page.evaluate("looper.midi.hear([0x90, 62, 100])")
    assert page.evaluate("looper.voices[1].generating")
    page.evaluate("looper.midi.hear([0x90, 64, 100])")
    assert not page.evaluate("looper.voices[1].generating")
    page.evaluate("looper.midi.teach('undo'), looper.midi.hear([0xb0, 7, 1])")
    assert page.evaluate("looper.midi.map['control 7']") == "undo"


def test_a_session_opens_as_it_was_saved(page: Any):
    load(page, 1.0)
    page.evaluate(GROWN)
    wet = samples(page, "looper.voices[0].node.wet[0]")
    with page.expect_download() as saved:
        page.locator("#save").click()
    path = Path(saved.value.path())
    page.locator("#reset").click()
    assert page.evaluate("looper.voices[0].node") is None
    page.locator("#open").set_input_files(
        {"name": "a.ostloop", "mimeType": "application/octet-stream", "buffer": path.read_bytes()}
    )
    until(page, "looper.voices[0].node !== null")
    assert (samples(page, "looper.voices[0].node.wet[0]") == wet).all()
    assert page.evaluate("[looper.voices[0].wants.periodic, [...looper.voices[0].node.mask.bits]]") == [3, [1, 0, 1]]
    page.locator("#open").set_input_files(
        {"name": "b.ostloop", "mimeType": "text/plain", "buffer": b"nonsense, no session"}
    )
    until(page, "document.getElementById('told').textContent.includes('no session')")


def test_the_page_fits_a_phone(page: Any):
    page.set_viewport_size({"width": 360, "height": 740})
    load(page, 0.5)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


MIXER = """async () => {
  const { Mixer, bounce, gains } = await import("./mixer.js");
  const rate = 1000, told = [];
  const mixer = new Mixer(rate, (event) => told.push(event));
  const run = (values) => {
    const input = [Float32Array.from(values), Float32Array.from(values)];
    const output = [new Float32Array(values.length), new Float32Array(values.length)];
    mixer.run(input, output);
    return [...output[0]];
  };
  const ramp = (from, many) => Array.from({ length: many }, (_, i) => (from + i) / 1000);
  mixer.order({ type: "wanted", samples: 100 });
  mixer.order({ type: "record", id: 0, on: true });
  const first = run(ramp(0, 300));
  const dry = [...mixer.voice(0).dry[0]];
  mixer.order({ type: "record", id: 0, on: true, overdub: true, latency: 10 });
  run(new Array(100).fill(0.5));
  mixer.order({ type: "record", on: false });
  run(new Array(50).fill(0.5));
  const over = told.filter((event) => event.type === "recorded").pop().dry[0];
  const three = [Float32Array.of(1, 2, 3), Float32Array.of(1, 2, 3)];
  const state = { dry: three, wet: null, how: { level: 0.5, pan: 0, mute: false, blend: 1 } };
  const bounced = [...bounce([state], 3, rate)[0]];
  return { first, dry, over: [...over], length: mixer.length, gains: gains(1, 0), left: gains(1, -1), bounced };
}"""


def test_the_mixer_closes_its_loop_on_the_sample_fades_its_seam_and_adds_what_is_played_along(page: Any):
    found = page.evaluate(MIXER)
    first, dry, over = (np.array(found[name]) for name in ("first", "dry", "over"))
    assert found["length"] == 100
    assert (first[:100] == 0).all()
    assert first[100] == pytest.approx(0.1)  # what followed the end goes over into the start
    assert dry[5:100] == pytest.approx(np.arange(5, 100) / 1000)
    assert dry[2] == pytest.approx((0.4 * 2 + 0.6 * 102) / 1000)
    assert first[205:300] == pytest.approx(dry[5:100])
    assert over[20:80] == pytest.approx(dry[20:80] + 0.5)
    assert found["gains"] == [1, 1]
    assert found["left"] == [1, 0]
    assert found["bounced"] == [0.5, 1, 1.5]
