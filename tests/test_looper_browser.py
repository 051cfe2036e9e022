"""The looper's page in a real browser, its microphone a file; what it renders is looked at by the sample."""

import base64
import itertools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def load(page: Any, seconds: float, voice: int = 0) -> None:
    file = {"name": "loop.wav", "mimeType": "audio/wav", "buffer": sounds.file(seconds=seconds, seed=voice)}
    page.locator(".voice").nth(voice).locator("input[type=file]").set_input_files(file)
    until(page, f"looper.voices[{voice}].node !== null")


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
    with page.expect_download() as saved:
        page.locator("#mix").click()
    wave, _ = soundfile.read(saved.value.path(), dtype="float32", always_2d=True)
    assert np.abs(wave[:, 0] - mix).max() == 0


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


GROWN = """() => {
  const voice = looper.voices[0];
  voice.wants.periodic = 3;
  const wet = voice.node.dry.map((channel) => channel.map((value) => -value));
  voice.grow("take", voice.node.dry, wet, { mask: { codebooks: 1, frames: 3, bits: Uint8Array.of(1, 0, 1) } });
}"""


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
