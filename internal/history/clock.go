package history

import "time"

// A clock gives times that never decrease. They are the times of the system's clock. After a step
// backwards they advance with the monotonic clock until the system's clock reaches them. After a step
// forwards, or a sleep of the machine, there is a gap.
type clock struct {
	read time.Time // of the last call of now
	at   int64     // Unix milliseconds
}

// peek returns the time of t in Unix milliseconds.
func (c *clock) peek(t time.Time) int64 {
	if c.at == 0 {
		return t.UnixMilli()
	}
	return max(t.UnixMilli(), c.at+max(t.Sub(c.read), 0).Milliseconds())
}

// now returns the time of a step at t, which is above the time of the step before.
func (c *clock) now(t time.Time) int64 {
	c.at, c.read = max(c.peek(t), c.at+1), t
	return c.at
}
