// Times as texts, in the time zone of the browser. A time is in Unix seconds.

const twoDigits = n => String(n).padStart(2, '0');

const dayText = d => `${twoDigits(d.getMonth() + 1)}-${twoDigits(d.getDate())}`;

const secondText = (d, step) => step >= 60 ? '' : `:${twoDigits(d.getSeconds())}` + (step < 1 ? `.${String(d.getMilliseconds()).padStart(3, '0')}` : '');

// formatTime returns the clock time. The argument step is the distance of the shown times in
// seconds: a step of a minute or more needs no seconds, and a step under 1 needs milliseconds.
export function formatTime(time, dated, step = 1) {
  const d = new Date(time * 1000);
  return `${dated ? dayText(d) + ' ' : ''}${twoDigits(d.getHours())}:${twoDigits(d.getMinutes())}${secondText(d, step)}`;
}

// formatDay returns the month and the day.
export const formatDay = time => dayText(new Date(time * 1000));

// formatDate returns the date and the clock time.
export const formatDate = (time, step = 1) => `${new Date(time * 1000).getFullYear()}-${formatTime(time, true, step)}`;

// utcOffset returns the seconds that local time is ahead of UTC.
export const utcOffset = time => -60 * new Date(time * 1000).getTimezoneOffset();

// formatRange returns both ends of a range, and the time zone.
export function formatRange(from, to) {
  const offset = utcOffset(to) / 60, hours = Math.trunc(Math.abs(offset) / 60);
  const zone = offset ? `${offset < 0 ? '-' : '+'}${twoDigits(hours)}:${twoDigits(Math.abs(offset) % 60)}` : 'UTC';
  return `${formatDate(from)} – ${sameDay(from, to) ? formatTime(to) : formatDate(to)} ${zone}`;
}

// sameDay reports whether two times are on one local day.
export const sameDay = (a, b) => new Date(a * 1000).toDateString() === new Date(b * 1000).toDateString();
