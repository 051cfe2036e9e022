// The picture of a voice: what is made anew, over the loop's waveform, and the playhead.

const COLOURS = { dry: "#7fb8a4", wet: "#e8a24a", made: "rgba(232, 162, 74, 0.28)", head: "#e9e6df" };
const drawn = new WeakMap();

function wave(pen, sound, colour, width, height) {
  pen.fillStyle = colour;
  const step = sound[0].length / width;
  for (let x = 0; x < width; x++) {
    let most = 0;
    for (let i = Math.floor(x * step), end = Math.min(sound[0].length, Math.ceil((x + 1) * step)); i < end; i += 4) {
      most = Math.max(most, Math.abs(sound[0][i]), Math.abs(sound[1][i]));
    }
    const tall = Math.max(1, Math.min(1, most) * height * 0.96);
    pen.fillRect(x, (height - tall) / 2, 1, tall);
  }
}

function cells(pen, { codebooks, frames, bits }, width, height) {
  pen.fillStyle = COLOURS.made;
  const [wide, tall] = [width / frames, height / codebooks];
  for (let row = 0; row < codebooks; row++) {
    for (let frame = 0, from = -1; frame <= frames; frame++) {
      const hidden = frame < frames && bits[row * frames + frame] === 1;
      if (hidden && from < 0) from = frame;
      if (!hidden && from >= 0) {
        pen.fillRect(from * wide, row * tall, (frame - from) * wide - 0.5, tall - 0.5);
        from = -1;
      }
    }
  }
}

function still(node, width, height) {
  const known = drawn.get(node);
  if (known) return known;
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [width, height];
  const pen = sheet.getContext("2d");
  if (node.mask !== null) cells(pen, node.mask, width, height);
  wave(pen, node.wet ?? node.dry, node.wet ? COLOURS.wet : COLOURS.dry, width, height);
  drawn.set(node, sheet);
  return sheet;
}

/** Draw a state with the playhead at a share of the loop. */
export function draw(canvas, node, share) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (node === null) return;
  pen.drawImage(still(node, canvas.width, canvas.height), 0, 0);
  pen.fillStyle = COLOURS.head;
  pen.fillRect(share * canvas.width - 1, 0, 2, canvas.height);
}
