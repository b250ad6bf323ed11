// A measure is a function of a family that gives values for groups of series. It has these
// fields:
//
//	texts                     the texts of the lines of each group; one empty text for one line
//	weight(group)             the cost of a group, in slots
//	rows(groups, sink, heat)  calls sink(point, row, touched) for each point, see scalars.mjs,
//	                          and returns whether each group had values; a row has
//	                          texts.length values for each group

import { Bounds } from './bounds.mjs';
import { QUANTILES, quantileText } from './functions.mjs';
import { histogramRows } from './histograms.mjs';
import { counterRows, gaugeRows } from './scalars.mjs';

const MAX_QUANTILES = 12;  // of a summary
const WINDOW_COST = 4;     // a slot of a histogram can have an increase in each step of a window

// measureOf returns the measure of a function for a family.
export function measureOf({ kind }, fn, series, scan) {
  if (kind === 'counter') return counterMeasure(scan);
  if (kind === 'summary' && fn === 'quantiles') return summaryMeasure(series, scan);
  if (kind === 'histogram' || kind === 'summary') return histogramMeasure(kind, fn, series, scan);
  return gaugeMeasure(fn, scan);
}

function counterMeasure(scan) {
  return { texts: [''], weight: slotsOf, rows: (groups, sink) => counterRows(scan, cellsOf(groups, [VALUE]), sink) };
}

function gaugeMeasure(fn, scan) {
  return { texts: [''], weight: slotsOf, rows: (groups, sink) => gaugeRows(scan, cellsOf(groups, [VALUE]), fn, sink) };
}

// summaryMeasure shows the largest value of each quantile in a group: quantiles cannot be summed.
function summaryMeasure(series, scan) {
  const found = new Set();
  for (const s of series) for (const c of s.columns) if (c.type === 'quantile') found.add(c.left);
  const quantiles = [...found].sort((a, b) => a - b).slice(-MAX_QUANTILES), tests = quantiles.map(q => c => c.type === 'quantile' && c.left === q);
  return {
    texts: quantiles.map(quantileText),
    weight: slotsOf,
    rows: (groups, sink) => anyOf(gaugeRows(scan, cellsOf(groups, tests), 'max', sink), quantiles.length),
  };
}

function histogramMeasure(kind, fn, series, scan) {
  const bounds = new Bounds(series, kind === 'summary' ? ['count'] : ['bucket', 'native']), quantiles = QUANTILES[fn] ?? [[NaN, '']];
  const valuesOf = {
    rate: part => [part.rate()],
    mean: part => [part.mean()],
  }[fn] ?? (part => quantiles.map(([q]) => part.quantile(q)));
  return {
    texts: quantiles.map(([, text]) => text),
    weight: group => WINDOW_COST * slotsOf(group),
    rows: (groups, sink, heat = null) => histogramRows(scan, groups, { width: quantiles.length, valuesOf }, bounds, heat, sink),
    bounds,
  };
}

const VALUE = column => column.type === 'value';

function slotsOf({ series }) {
  let n = 0;
  for (const s of series) n += s.slots.length;
  return n;
}

// cellsOf returns the slots whose column passes a test. A group has a cell for each test.
function cellsOf(groups, tests) {
  const slots = [], owners = [];
  groups.forEach(({ series }, g) => {
    for (const { columns, slots: own } of series) {
      for (let i = 0; i < columns.length; i++) {
        for (let t = 0; t < tests.length; t++) {
          if (!tests[t](columns[i])) continue;
          slots.push(own[i]);
          owners.push(g * tests.length + t);
        }
      }
    }
  });
  return { slots: Int32Array.from(slots), owners: Int32Array.from(owners), count: groups.length * tests.length };
}

// anyOf reports for each group whether any of its cells was seen.
const anyOf = (seen, width) => Uint8Array.from({ length: seen.length / width }, (_, g) => +seen.subarray(g * width, (g + 1) * width).includes(1));

// rowsOf returns the rows of all points.
export function rowsOf(measure, groups, points, heat = null) {
  const gap = new Float64Array(groups.length * measure.texts.length).fill(NaN);
  const rows = Array(points).fill(gap), seen = measure.rows(groups, (point, row) => { rows[point] = row.slice(); }, heat);
  return { rows, seen };
}
