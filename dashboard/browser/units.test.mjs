import assert from 'node:assert/strict';
import { test } from 'node:test';
import { displayOf, unitOf } from '../page/model/units.mjs';

test('the unit is that of the metadata or of the name', () => {
  for (const [name, unit, want] of [
    ['a_seconds', '', 'seconds'], ['a_seconds_total', '', 'seconds'], ['a_bytes', '', 'bytes'], ['a_ratio', '', 'ratio'], ['a_celsius', '', 'celsius'],
    ['a_total', '', ''], ['seconds_of_a', '', ''], ['a', 'bytes', 'bytes'], ['a', 'By', 'bytes'], ['a', '1', ''], ['a', 'widgets', 'widgets'], ['a_bytes', 'seconds', 'seconds'],
    ['process_start_time_seconds', 'seconds', ''], ['a_timestamp_seconds', '', ''], ['go_memstats_last_gc_time_seconds', '', ''], ['cpu_time_seconds', '', 'seconds'],
    ['a', 'constructor', 'constructor'], ['go_cpu_classes_idle_cpu_seconds_total', 'cpu_seconds', 'seconds'],
  ]) assert.equal(unitOf(name, unit), want, `${name} ${unit}`);
});

test('the rate of CPU seconds is a number of cores', () => {
  for (const [name, kind, fn, want] of [
    ['process_cpu_seconds_total', 'counter', 'rate', { unit: 'cores', perSecond: false }],
    ['go_cpu_classes_user_cpu_seconds_total', 'counter', 'rate', { unit: 'cores', perSecond: false }],
    ['cpufreq_seconds_total', 'counter', 'rate', { unit: 'seconds', perSecond: true }],
    ['pause_seconds_total', 'counter', 'rate', { unit: 'seconds', perSecond: true }],
    ['read_bytes_total', 'counter', 'rate', { unit: 'bytes', perSecond: true }],
    ['requests_total', 'counter', 'rate', { unit: '', perSecond: true }],
    ['cpu_wait_seconds', 'histogram', 'rate', { unit: '', perSecond: true }],
    ['cpu_wait_seconds', 'histogram', 'p99', { unit: 'seconds', perSecond: false }],
    ['gc_duration_seconds', 'summary', 'quantiles', { unit: 'seconds', perSecond: false }],
    ['size_bytes', 'gauge', 'max', { unit: 'bytes', perSecond: false }],
  ]) assert.deepEqual(displayOf({ name, kind, unit: '' }, fn), want, name);
  assert.deepEqual(displayOf({ name: 'go_cpu_classes_idle_cpu_seconds_total', kind: 'counter', unit: 'cpu_seconds' }, 'rate'), { unit: 'cores', perSecond: false });
});
