// The crosshair and the selection of a time range, which all charts of the page share.

import { clampedTimeAt, dragRange, timeAt } from './plot.mjs';
import { stepTime } from './samples.mjs';

// watchPointer adds the listeners of a canvas. point(time, drag, spoken) sets the crosshair and
// the selection. zoom gets a range. pointer() returns the crosshair and the selection, and times()
// the times of the chart.
export function watchPointer(canvas, { point, zoom, pointer, times }) {
  let pressed = null;          // x of the button press
  canvas.addEventListener('pointerdown', e => {
    if (e.button !== 0 || timeAt(canvas, e.clientX) === null) return;
    pressed = e.clientX;
    canvas.setPointerCapture(e.pointerId);
    point(timeAt(canvas, e.clientX), null);
  });
  canvas.addEventListener('pointermove', e => {
    const time = clampedTimeAt(canvas, e.clientX);
    if (pressed === null) point(timeAt(canvas, e.clientX), null);
    else point(time, dragRange(canvas, pressed, e.clientX) && [clampedTimeAt(canvas, pressed), time]);
  });
  canvas.addEventListener('pointerup', e => {
    const range = pressed !== null && dragRange(canvas, pressed, e.clientX);
    pressed = null;
    if (!range) return;
    point(null, null);
    zoom(range);
  });
  canvas.addEventListener('pointercancel', () => { pressed = null; point(null, null); });
  canvas.addEventListener('pointerleave', e => {
    if (pressed === null && e.pointerType !== 'touch') point(null, null); // a tap keeps the crosshair
  });
  canvas.addEventListener('blur', () => { if (pointer().spoken) point(null, null); });
  canvas.addEventListener('keydown', e => chartKey(e, { point, zoom, pointer, times }));
}

// chartKey moves the crosshair with the arrows, selects with Shift, zooms with Enter and removes
// the crosshair with Escape.
function chartKey(e, { point, zoom, pointer, times }) {
  const { time, drag } = pointer();
  const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
  if (by) {
    const next = stepTime(times(), time, by);
    if (next !== null) point(next, e.shiftKey ? [drag?.[0] ?? time ?? next, next] : null, true);
  } else if (e.key === 'Enter' && drag && drag[0] !== drag[1]) {
    point(null, null);
    zoom([...drag].sort((a, b) => a - b));
  } else if (e.key === 'Escape' && pressedOrShown(pointer())) point(null, null);
  else return;
  e.preventDefault();
  e.stopPropagation();
}

const pressedOrShown = ({ time, drag }) => time !== null || drag !== null;
