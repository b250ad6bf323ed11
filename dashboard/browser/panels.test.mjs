import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GO_PANELS } from '../page/model/panels.mjs';
import { evaluate, familiesOf } from '../page/model/query.mjs';
import { Store } from '../page/model/store.mjs';

const range = { from: 0, to: 10, points: 100 };

test('a panel without families tells how to register them', () => {
  for (const card of GO_PANELS) assert.match(evaluate(new Store(), card, range).error, /^not measured: call (goruntime\.Register(Advanced)?|process\.Register)\(registry\) at start/, card.id);
  assert.equal(new Set(GO_PANELS.map(card => card.id)).size, GO_PANELS.length);
});

test('a panel shows the families that are present', () => {
  const names = new Set(GO_PANELS.flatMap(familiesOf)), store = new Store();
  for (const time of [1, 2, 3]) {
    for (const name of names) store.define(name, { kind: name.endsWith('_total') ? 'counter' : /_(gc|pauses|latencies)_seconds$/.test(name) ? 'histogram' : name === 'go_gc_duration_seconds' ? 'summary' : 'gauge' });
    store.begin(time);
    for (const family of store.families.values()) {
      const columns = { histogram: [{ type: 'sum' }, { type: 'bucket', left: -Infinity, right: 1 }], summary: [{ type: 'sum' }, { type: 'count' }, { type: 'quantile', left: 0 }, { type: 'quantile', left: 1 }] }[family.kind] ?? [{ type: 'value' }];
      for (const column of columns) store.set(store.slot(store.addSeries(family, []), column), time);
    }
    store.end();
  }
  for (const card of GO_PANELS) {
    const { error, lines, heat, display } = evaluate(store, card, range);
    assert.equal(error, '', card.id);
    assert.equal(lines.length, card.parts?.length ?? (heat ? 3 : card.ratio ? 1 : 2), card.id);
    for (const { text, values } of lines) assert.ok(values.at(-1) >= 0, `${card.id} ${text}`);
    if (/^go-(cpu|marks)$/.test(card.id)) assert.deepEqual(display, { unit: 'cores', perSecond: false });
  }
  const pauses = evaluate(store, GO_PANELS.find(card => card.id === 'go-pause-quantiles'), range);
  assert.deepEqual(pauses.lines.map(l => l.text), ['min', 'max']);
});
