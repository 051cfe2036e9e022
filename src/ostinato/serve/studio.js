/* The player of the studio: sounds that run in step while one of them is heard, and its keys. */
(() => {
  let context = null, playing = null;
  const decoded = new Map();

  const load = async (url) => {
    if (!decoded.has(url)) {
      const bytes = await (await fetch(url)).arrayBuffer();
      decoded.set(url, await context.decodeAudioData(bytes));
    }
    return decoded.get(url);
  };

  const choose = (box, pick) => {
    box.querySelectorAll(".ab-pick").forEach((each, number) => {
      each.setAttribute("aria-checked", String(each === pick));
      if (playing && playing.box === box) {
        playing.gains[number].gain.setTargetAtTime(each === pick ? 1 : 0, context.currentTime, 0.005);
      }
    });
  };

  const stop = () => {
    if (!playing) return;
    playing.sources.forEach((source) => source.stop());
    const button = playing.box.querySelector(".ab-play");
    if (button) {
      button.setAttribute("aria-pressed", "false");
      button.textContent = "Play all in step";
    }
    playing = null;
  };

  const play = async (box) => {
    stop();
    context = context || new AudioContext();
    await context.resume();
    const picks = [...box.querySelectorAll(".ab-pick")];
    const buffers = await Promise.all(picks.map((pick) => load(pick.dataset.src)));
    if (decoded.size > 24) decoded.delete(decoded.keys().next().value);
    const start = context.currentTime + 0.05;
    const gains = [], sources = [];
    buffers.forEach((buffer, number) => {
      const source = context.createBufferSource(), gain = context.createGain();
      source.buffer = buffer;
      source.loop = true;
      gain.gain.value = picks[number].getAttribute("aria-checked") === "true" ? 1 : 0;
      source.connect(gain).connect(context.destination);
      source.start(start);
      gains.push(gain);
      sources.push(source);
    });
    playing = { box, gains, sources };
    const button = box.querySelector(".ab-play");
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Stop";
  };

  const toggle = (box) => (playing && playing.box === box ? stop() : play(box));

  document.addEventListener("click", (event) => {
    const box = event.target.closest && event.target.closest(".ab");
    if (!box) return;
    const pick = event.target.closest(".ab-pick");
    if (pick) choose(box, pick);
    if (event.target.closest(".ab-play")) toggle(box);
  });

  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest("input, textarea, select, button, audio, [contenteditable], [role=listbox]");
    const box = document.querySelector(".ab");
    if (!box || event.ctrlKey || event.metaKey || event.altKey) return;
    const inside = event.target.closest(".ab");
    if (writing && !inside) return;
    const pick = box.querySelectorAll(".ab-pick")[Number(event.key) - 1];
    if (/^[1-9]$/.test(event.key) && pick) choose(box, pick);
    if (event.key === " " && !event.target.closest("button, audio, a")) {
      event.preventDefault();
      toggle(box);
    }
  });

  new MutationObserver(() => {
    if (playing && !playing.box.isConnected) stop();
  }).observe(document, { childList: true, subtree: true });
})();
