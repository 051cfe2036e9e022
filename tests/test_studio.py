"""The studio in a real browser: what a musician sees, hears and presses."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ostinato.audiofile import info
from ostinato.models import LOOP
from tests import sounds
from tests.server import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SLOW = 120_000
PEAK = """async (url) => {
  const bytes = await (await fetch(url)).arrayBuffer();
  const sound = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(bytes);
  const wave = sound.getChannelData(0);
  return [sound.duration, wave.reduce((most, each) => Math.max(most, Math.abs(each)), 0)];
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    """`launch("--flag")` gives a browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        yield lambda *flags: running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *flags])


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Any]) -> Iterator[Any]:
    made = launch()
    yield made
    made.close()


@pytest.fixture(scope="module")
def page(browser: Any, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page with the example, in a window of a laptop's size; the tests go through it from top to bottom."""
    opened = browser.new_page(viewport={"width": 1280, "height": 1000})
    opened.set_default_timeout(SLOW)
    _ = opened.goto(server.url)
    _ = opened.wait_for_selector("#ost-go")
    yield opened
    shots = tmp_path_factory.getbasetemp() / "studio.png"
    _ = opened.screenshot(path=shots, full_page=True)
    opened.close()


def said(page: Any, text: str) -> str:
    """What the page says, once it says this."""
    status = page.locator("#ost-status", has_text=text)
    status.wait_for()
    return status.inner_text()


def quick(page: Any, steps: int = 1, feedback: int = 1) -> None:
    """Set how long takes are in the making."""
    for section, number, value in (("#ost-sampler", 0, steps), ("#ost-more", 1, feedback)):
        fields = page.locator(f"{section} input[type=number]")
        if not fields.first.is_visible():
            page.locator(f"{section} button").first.click()
        fields.nth(number).fill(str(value))
        page.keyboard.press("Tab")


def test_the_example_is_there_with_its_mask(page: Any):
    told = said(page, "will be made anew")
    share = int(told.split("%")[0])
    assert 70 < share < 99
    page.locator("#ost-mask img").wait_for(state="visible")
    size = page.locator("#ost-mask img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert size[0] > 200
    assert size[1] > 50


def test_a_preset_changes_the_mask(page: Any):
    before = said(page, "will be made anew")
    page.locator("#ost-preset input").click()
    page.get_by_role("option", name="timbre transfer: ").click()
    page.wait_for_function(
        "before => { const now = document.querySelector('#ost-status').innerText;"
        " return now.includes('anew') && now !== before }",
        arg=before,
    )


def test_takes_are_made_and_can_be_heard_beside_the_input(page: Any):
    quick(page)
    page.locator("#ost-go").click()
    _ = said(page, "2 made")
    rows = page.locator(".ab-row")
    assert rows.count() == 3
    peaks = [page.evaluate(PEAK, rows.nth(n).locator("audio").get_attribute("src")) for n in range(3)]
    assert all(peak > 0.01 for _, peak in peaks)
    assert len({round(seconds, 3) for seconds, _ in peaks}) == 1
    assert rows.nth(1).locator("a").get_attribute("download") == "take-1.wav"


def test_the_player_is_played_with_keys(page: Any):
    page.locator("#ost-head").click()
    page.keyboard.press("2")
    picks = page.locator(".ab-pick")
    assert [picks.nth(n).get_attribute("aria-checked") for n in range(3)] == ["false", "true", "false"]
    page.keyboard.press(" ")
    page.locator(".ab-play[aria-pressed=true]").wait_for()
    page.keyboard.press("3")
    assert picks.nth(2).get_attribute("aria-checked") == "true"
    page.keyboard.press(" ")
    page.locator(".ab-play[aria-pressed=false]").wait_for()


def test_a_take_becomes_the_next_input_and_there_is_a_way_back(page: Any):
    page.locator("#ost-keep").click()
    page.wait_for_timeout(1500)
    page.locator("#ost-go").click()
    page.locator(".ab-row a[download='take-3.wav']").wait_for()
    _ = said(page, "2 made")
    assert "· · take-3.wav" in page.locator("#ost-takes input").input_value()
    page.locator("#ost-back").click()
    page.wait_for_function("document.querySelector('#ost-takes input').value.startsWith('· take-1.wav')")
    page.locator("#ost-back").click()
    page.wait_for_function("document.querySelector('#ost-takes input').value.startsWith('loop.flac')")
    page.wait_for_timeout(1500)  # what the choice sets off may still write over the answer
    page.locator("#ost-back").click()
    page.get_by_text("nothing before it").first.wait_for()


def test_a_sound_is_made_small_and_opened_again(page: Any, tmp_path: Path):
    page.locator("#ost-small button").first.click()
    page.locator("#ost-compress").click()
    told = said(page, "bit/s")
    assert "loop.ost" in told
    link = page.locator("#ost-file a[href*='.ost']").first
    link.wait_for()
    content = page.request.get(link.get_attribute("href")).body()
    assert content[1:4] == b"OST"
    small = tmp_path / "small.ost"
    _ = small.write_bytes(content)
    page.locator("#ost-file button[aria-label='Clear']").first.click()
    page.locator("#ost-file input[type=file]").first.set_input_files(small)
    opened = page.locator("#ost-sound a[href*='small-expanded.wav']").first
    opened.wait_for()
    seconds, peak = page.evaluate(PEAK, opened.get_attribute("href"))
    assert seconds == pytest.approx(info(LOOP).seconds, abs=0.01)
    assert peak > 0.01


def test_what_is_no_small_file_is_refused_in_plain_words(page: Any, tmp_path: Path):
    wrong = tmp_path / "words.ost"
    _ = wrong.write_text("these are words")
    page.locator("#ost-file button[aria-label='Clear']").first.click()
    page.locator("#ost-file input[type=file]").first.set_input_files(wrong)
    told = said(page, "words.ost")
    assert told.startswith("words.ost is not an .ost file")


def test_a_microphone_is_recorded_and_varied(launch: Callable[..., Any], server: Server, tmp_path: Path):
    heard = tmp_path / "heard.wav"
    _ = heard.write_bytes(sounds.file("WAV", "PCM_16", seconds=10, rate=48000))
    fake = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    browser = launch(*fake, f"--use-file-for-fake-audio-capture={heard}")
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(SLOW)
    _ = page.goto(server.url)
    _ = said(page, "will be made anew")
    page.locator("#ost-sound button[aria-label='Record audio']").click()
    page.locator("#ost-sound .record-button").first.click()
    page.wait_for_timeout(1500)
    page.locator("#ost-sound .stop-button").first.click()
    page.locator("#ost-sound a[download]").first.wait_for()
    quick(page)
    page.locator("#ost-go").click()
    _ = said(page, "2 made")
    seconds, peak = page.evaluate(PEAK, page.locator(".ab-row audio").first.get_attribute("src"))
    assert seconds != pytest.approx(info(LOOP).seconds, abs=0.1)
    assert peak > 0.05
    browser.close()


def test_buttons_are_pressed_with_keys(page: Any):
    page.locator("#ost-stop").focus()
    page.keyboard.press("Enter")
    _ = said(page, "There is nothing to stop.")


def test_stop_stops_within_moments_and_progress_is_told(page: Any):
    quick(page, steps=128, feedback=64)
    page.locator("#ost-go").click()
    page.locator("#ost-status progress").wait_for()
    assert "take 1 of 2" in page.locator("#ost-status").inner_text()
    page.locator("#ost-stop").click()
    _ = said(page, "Stopped.")
    quick(page)


def test_a_text_under_a_sound_s_name_is_refused_in_plain_words(page: Any, tmp_path: Path):
    notes = tmp_path / "notes.wav"
    _ = notes.write_text("these are words")
    page.locator("#ost-sound button[aria-label='Clear']").first.click()
    page.locator("#ost-sound input[type=file]").first.set_input_files(notes)
    told = said(page, "notes.wav")
    assert "is not a sound file we can read" in told
    assert "/" not in told.replace("/gradio", "")


def test_a_sound_of_one_s_own_is_taken(page: Any, tmp_path: Path):
    mine = tmp_path / "my loop ü.wav"
    _ = mine.write_bytes(sounds.file(seconds=1.0, channels=2))
    page.locator("#ost-sound button[aria-label='Clear']").first.click()
    page.locator("#ost-sound input[type=file]").first.set_input_files(mine)
    _ = said(page, "will be made anew")
    page.locator("#ost-go").click()
    page.locator(".ab-row a[download^='my-loop']").wait_for()


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_leaves_a_narrow_screen(page: Any, width: int):
    page.set_viewport_size({"width": width, "height": 780})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#ost-go").bounding_box()["width"] > 100
    for row in page.locator(".ab-pick").all():
        found = row.bounding_box()
        assert found["x"] >= 0
        assert found["x"] + found["width"] <= width


def test_a_page_that_is_closed_ends_its_job(browser: Any, server: Server):
    opened = browser.new_page()
    opened.set_default_timeout(SLOW)
    _ = opened.goto(server.url)
    _ = said(opened, "will be made anew")
    quick(opened, steps=128, feedback=64)
    opened.locator("#ost-go").click()
    opened.locator("#ost-status progress").wait_for()
    assert server.status()["running"]
    opened.close()
    assert server.until(running=False) < 20


def test_nothing_is_fetched_from_elsewhere(browser: Any, server: Server):
    asked: list[str] = []
    opened = browser.new_page()
    opened.on("request", lambda request: asked.append(request.url))
    _ = opened.goto(server.url)
    _ = opened.wait_for_selector("#ost-go", timeout=SLOW)
    opened.close()
    others = [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert others == []
