// Evaluation of a card: filter, group, function, the largest lines, ratio, parts and heat map.

import { functionsOf, groupingOf } from './functions.mjs';
import { counterpartOf, filterText, groupKey, groupLabels, groupsOf, groupText, matching } from './groups.mjs';
import { Heat } from './heat.mjs';
import { measureOf, rowsOf } from './measures.mjs';
import { ratioOf } from './ratio.mjs';
import { extentOf, planOf, rateSeconds, scanOf, stepsOf } from './scan.mjs';
import { displayOf } from './units.mjs';

const TOP = 12, MAX_TOP = 100; // lines of a chart
const CHUNK = 1 << 18;         // slots that are evaluated at once

// familiesOf returns the names of all families that a card needs.
export function familiesOf({ family, or = [], ratio, parts = [] }) {
  return [family, ...or, ratio?.family, ...parts.flatMap(familiesOf)].filter(Boolean);
}

// inputsOf returns a text of what evaluate reads for a card and a range. The result is the same while the text,
// the range and the number of points are the same.
export function inputsOf(store, card, range) {
  const families = familiesOf(card).map(name => store.families.get(name));
  return [store.step, ...families.map(f => f ? `${f.id} ${f.version} ${extentOf(store, f, range)}` : 'absent')].join();
}

// evaluate returns the Result of a card for the range from to to, in seconds since 1970, with at
// most the given number of points. It does not change the store.
//
// A card has these fields:
//
//	family, or    name of the family, and names of families that replace an absent family
//	where         pairs [label, value] that select series; values of one label are alternatives
//	by            '*' for a line of each series, '' for all together, or a label
//	fn, top       function, and the number of lines: the largest by peak over all series
//	ratio         { family, where }: its groups divide the equal groups of the card; the total of
//	              its series divides series of the same family, if each would divide itself
//	parts         cards, with a text each, whose lines are shown together
//	missing       the error if the family, or the family of each part, is absent
//
// A Result has lines [{ key, text, labels, values }] with a value for each of times. matched is the
// number of series, groups the number of groups with values in the range, and rest the number of
// groups that are not shown. heat is { bounds, counts, native } or null: counts has the
// observations per second by point and row, or null for a point without known increases. error
// names the cause if there is no line.
export function evaluate(store, card, range) {
  const jobs = (card.parts ?? [card]).map(c => jobOf(store, c, range)), usable = jobs.filter(job => !job.error);
  if (!jobs.length) return resultOf(card, {}, { error: 'this chart has no parts' });
  if (!usable.length) return resultOf(card, jobs[0], { error: !jobs.some(j => j.family) && card.missing || jobs[0].error });
  const plan = planOf(usable.flatMap(job => job.steps.times), range);
  const results = usable.map(job => evaluateJob(store, job, plan));
  return card.parts ? joined(card, usable, results) : resultOf(card, jobs[0], results[0]);
}

// jobOf returns the family, the series, the groups and the steps of a card, or an error.
function jobOf(store, card, range) {
  const family = [card.family, ...card.or ?? []].map(name => store.families.get(name)).find(Boolean);
  if (!family) return { card, error: absent(card.family) };
  const by = card.by ?? groupingOf(family.kind), series = matching(family, card.where), job = { card, family, by, series, fn: '', error: '' };
  if (!series.length) return { ...job, error: `no series match ${filterText(card.where)}` };
  if (by && by !== '*' && !family.labels.has(by)) return { ...job, error: `no series has the label ${by}` };
  const divisor = card.ratio && store.families.get(card.ratio.family);
  if (card.ratio && !divisor) return { ...job, error: absent(card.ratio.family) };
  const fn = functionOf(family.kind, by, card.fn, divisor), noQuantiles = family.kind === 'summary' && !series.some(s => s.columns.some(c => c.type === 'quantile'));
  return { ...job, range, groups: groupsOf(series, by), fn: noQuantiles && fn === 'quantiles' ? 'rate' : fn, divisor, steps: stepsOf(store, family, range) };
}

const absent = name => `${name} has no series in the stored samples`;

// functionOf returns the function of a card. The quantiles of a group are several lines, so a
// ratio has the rate instead.
function functionOf(kind, by, wanted, ratio) {
  const names = functionsOf(kind, by).filter(fn => !ratio || fn !== 'quantiles');
  if (names.includes(wanted)) return wanted;
  return ratio && names.includes('rate') ? 'rate' : names[0];
}

function evaluateJob(store, job, plan) {
  const { card, family, series, groups, fn, divisor } = job, scan = scanOf(store, family, job.steps, plan);
  if (!scan.sampled) return { times: plan.times, error: `no samples of ${family.name} in this range` };
  let measure = measureOf(family, fn, series, scan);
  const heat = family.kind === 'histogram' && !divisor ? new Heat(plan.times.length, measure.bounds) : null;
  if (divisor) measure = withDivisor(store, measure, job, plan);
  const top = Math.min(card.top > 0 ? card.top : TOP, MAX_TOP), limit = Math.max(1, Math.floor(top / measure.texts.length));
  const { shown, count } = groups.length > limit ? largestGroups(measure, groups, limit, heat) : { shown: groups };
  const { rows, seen } = rowsOf(measure, shown, plan.times.length, groups.length > limit ? null : heat), present = shown.filter((_, g) => seen[g]);
  return {
    times: plan.times,
    lines: linesOf(measure.texts, shown, seen, rows, fn),
    groups: count ?? present.length,
    rest: (count ?? present.length) - present.length,
    heat: heat && heat.result(),
    note: noteOf(family.kind, fn, plan, rateSeconds(store)),
    error: emptiness(job, present.length > 0, rows),
  };
}

// emptiness returns why a chart has no value, or ''.
function emptiness({ card, family, divisor }, present, rows) {
  if (!present) return `no values of ${card.where?.length ? filterText(card.where) : family.name} in this range: absent or NaN`;
  return divisor && !rows.some(row => row.some(v => v === v)) ? `${divisor.name} is 0 or absent in this range: nothing to divide by` : '';
}

// withDivisor returns the ratio of a measure and the measure of the other family.
function withDivisor(store, measure, { card, family, series: own, range, steps, divisor, by, fn }, plan) {
  const series = matching(divisor, card.ratio.where), members = new Set(series), same = divisor === family;
  const ofItself = same && (by === '*' || own.length === series.length && own.every(s => members.has(s)));
  const scan = scanOf(store, divisor, same ? steps : stepsOf(store, divisor, range), plan);
  const below = measureOf(divisor, functionOf(divisor.kind, by, fn, true), series, scan);
  return ratioOf(measure, below, ofItself ? { by: '', value: '', series } : counterpartOf(divisor, series, by), plan.times.length);
}

// largestGroups returns the groups with the largest absolute values, and the number of groups
// with values. It needs room for one chunk of groups, whatever the number of groups.
function largestGroups(measure, groups, limit, heat) {
  const peaks = new Float64Array(groups.length).fill(-1), width = measure.texts.length;
  let offset = 0;
  for (const chunk of chunksOf(groups, measure.weight)) {
    const add = (i, value) => {
      const v = Math.abs(value), g = offset + (width === 1 ? i : Math.floor(i / width));
      if (v > peaks[g] && v < Infinity) peaks[g] = v;
    };
    const seen = measure.rows(chunk, (point, row, touched) => {
      if (touched) for (const i of touched) add(i, row[i]);
      else for (let i = 0; i < row.length; i++) add(i, row[i]);
    }, heat);
    for (let g = 0; g < chunk.length; g++) if (!seen[g]) peaks[offset + g] = NaN;
    offset += chunk.length;
  }
  const present = peaks.filter(p => p === p).sort(), least = present.length > limit ? present[present.length - limit] : -1;
  const shown = groups.filter((_, g) => peaks[g] > least);
  return { shown: shown.concat(firstByText(groups.filter((_, g) => peaks[g] === least), limit - shown.length)), count: present.length };
}

function* chunksOf(groups, weight) {
  let first = 0, sum = 0;
  for (let g = 0; g < groups.length; g++) {
    const w = weight(groups[g]);
    if (g > first && sum + w > CHUNK) {
      yield groups.slice(first, g);
      first = g;
      sum = 0;
    }
    sum += w;
  }
  if (first < groups.length) yield groups.slice(first);
}

// firstByText returns the first groups in the order of their texts. There can be very many groups
// with the same peak, so that a sort of all texts would take long.
function firstByText(groups, limit) {
  const first = [];
  for (const group of groups) {
    const text = groupText(group);
    if (first.length >= limit && !(text < first.at(-1)?.text)) continue;
    const at = first.findIndex(f => text < f.text);
    first.splice(at < 0 ? first.length : at, 0, { text, group });
    if (first.length > limit) first.pop();
  }
  return first.map(f => f.group);
}

// linesOf returns the lines of groups with values, in the order of the texts of the groups.
function linesOf(texts, groups, seen, rows, fn) {
  const order = groups.map((group, g) => ({ group, g, text: groupText(group) })).filter(({ g }) => seen[g]);
  order.sort((a, b) => a.text < b.text ? -1 : a.text > b.text ? 1 : 0);
  return order.flatMap(({ group, g, text }) => texts.map((own, i) => ({
    key: groupKey(group) + own,
    text: lineText(text, own) || (fn === 'sum' || fn === 'rate' ? 'total' : fn),
    labels: groupLabels(group),
    values: Float64Array.from(rows, row => row[g * texts.length + i]),
  })));
}

const lineText = (group, own) => own && group === '(no labels)' ? own : [group, own].filter(Boolean).join(' ');

// noteOf returns the meaning of the points of a chart, unless it is plain. A summary has the quantiles
// of the program.
function noteOf(kind, fn, { width }, rate) {
  const text = n => `${Math.round(n * 10) / 10} s`, notes = [];
  if (kind === 'histogram' && /^p\d|^quantiles$/.test(fn)) notes.push('quantiles of the last 60 s');
  if (fn === 'mean') notes.push('mean of the last 60 s');
  if (width && fn === 'rate') notes.push(`each point is the rate over ${text(width > rate ? width : rate)}`);
  if (width && (fn === 'sum' || fn === 'avg')) notes.push(`each point is the value of ${text(width)} that differs most from the point before`);
  return notes.join(' · ');
}

// joined returns the Result of a card with parts. A line has the text of its part.
function joined(card, jobs, results) {
  const lines = results.flatMap(({ lines = [] }, i) => {
    const { text } = jobs[i].card;
    return lines.map(line => ({ ...line, key: text + line.key, text: lines.length > 1 ? `${text} ${line.text}` : text }));
  });
  const sum = (list, n) => list.reduce((total, element) => total + n(element), 0);
  const result = resultOf(card, jobs[0], { ...results[0], heat: null, error: lines.length ? '' : results[0].error });
  return Object.assign(result, {
    lines, labels: [],
    count: sum(jobs, job => job.family.count), matched: sum(jobs, job => job.series.length),
    groups: sum(results, r => r.groups ?? 0), rest: sum(results, r => r.rest ?? 0),
  });
}

function resultOf(card, { family, series = [], by = card.by ?? '', fn = '', error }, result) {
  const { name = card.family ?? '', kind = 'unknown', help = '', unit = '', count = 0, labels = new Map() } = family ?? {};
  return {
    id: card.id, family: name, kind, help, unit, count, matched: series.length, groups: 0,
    times: new Float64Array(), lines: [], rest: 0, heat: null, note: '', by, fn,
    display: card.ratio ? { unit: 'ratio', perSecond: false } : displayOf({ name, kind, unit }, fn),
    labels: [...labels].map(([label, values]) => ({ name: label, values: values.size })).sort((a, b) => a.name < b.name ? -1 : 1),
    ...result, error: result.error || error || '',
  };
}
