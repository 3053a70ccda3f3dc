// Package fair shares work among users: a queue that serves them in turn.
package fair

// Queue holds the work of many users. Each user's work stays in order. Pop serves one user
// after the other, each for about a quantum of cost in a turn (deficit round robin), so that
// a user who is alone gets all of Pop, and otherwise an equal share, however much work the
// others have queued. A Queue has no lock of its own.
type Queue[T any] struct {
	quantum     int
	lines       map[int64]*line[T]
	first, last *line[T] // the lines in the order of their turns
	length      int
}

// line is the work of one user. It exists while there is some.
type line[T any] struct {
	user   int64
	items  []*Item[T]
	cost   int // of all items
	credit int // what is left of the turn
	next   *line[T]
}

// Item is a piece of work in a Queue.
type Item[T any] struct {
	Value T
	User  int64
	cost  int
	line  *line[T] // nil means that it was taken
}

// Cost returns what the item costs.
func (x *Item[T]) Cost() int { return x.cost }

// NewQueue makes a queue. A quantum far below the cost of common items makes Pop slower,
// and one far above it makes turns longer.
func NewQueue[T any](quantum int) *Queue[T] {
	return &Queue[T]{quantum: quantum, lines: map[int64]*line[T]{}}
}

// Push adds work of a user after what the user has queued already.
func (q *Queue[T]) Push(user int64, cost int, value T) *Item[T] {
	l := q.lines[user]
	if l == nil {
		l = &line[T]{user: user, credit: q.quantum}
		q.lines[user] = l
		q.append(l)
	}
	x := &Item[T]{Value: value, User: user, line: l}
	l.items = append(l.items, x)
	q.length++
	q.Grow(x, cost)
	return x
}

// Grow adds to the cost of an item. It reports whether the item is still in the queue.
func (q *Queue[T]) Grow(x *Item[T], cost int) bool {
	if x.line == nil {
		return false
	}
	x.cost += cost
	x.line.cost += cost
	return true
}

// Charge makes the user's next turns shorter, for work that cost more than its items said.
// It does nothing if the user has nothing queued.
func (q *Queue[T]) Charge(user int64, cost int) {
	if l := q.lines[user]; l != nil {
		l.credit -= cost
	}
}

// Pop takes the next item. It returns nil if there is none.
func (q *Queue[T]) Pop() *Item[T] { return q.PopOf(func(int64) bool { return true }) }

// PopOf takes the next item of a user for whom ready returns true. The other users keep their items
// and their turns.
func (q *Queue[T]) PopOf(ready func(user int64) bool) *Item[T] {
	for passed := 0; passed < len(q.lines); {
		l := q.first
		isReady := ready(l.user)
		if isReady && l.next == nil { // alone: no turns are counted
			l.credit = max(l.credit, l.items[0].cost)
		}
		if isReady && l.credit >= l.items[0].cost {
			return q.take(l)
		}
		if passed++; isReady {
			l.credit += q.quantum
			passed = 0
		}
		if l.next != nil {
			q.first = l.next
			q.append(l)
		}
	}
	return nil
}

// Users calls each with the users who have items, in the order of their turns, until each
// returns false.
func (q *Queue[T]) Users(each func(user int64) bool) {
	for l := q.first; l != nil && each(l.user); l = l.next {
	}
}

// take takes the first item of the first line.
func (q *Queue[T]) take(l *line[T]) *Item[T] {
	x := l.items[0]
	x.line, l.items[0] = nil, nil
	l.items = l.items[1:]
	l.credit -= x.cost
	l.cost -= x.cost
	q.length--
	if len(l.items) == 0 {
		delete(q.lines, l.user)
		if q.first = l.next; q.first == nil {
			q.last = nil
		}
	}
	return x
}

func (q *Queue[T]) append(l *line[T]) {
	l.next = nil
	if q.first == nil {
		q.first = l
	} else {
		q.last.next = l
	}
	q.last = l
}

// Len returns how many items there are.
func (q *Queue[T]) Len() int { return q.length }

// CostOf returns what the items of a user cost.
func (q *Queue[T]) CostOf(user int64) int {
	if l := q.lines[user]; l != nil {
		return l.cost
	}
	return 0
}

// Share returns a user's part of a total cost: with no others queued it is half of it, and
// the shares of all users together are below the total.
func (q *Queue[T]) Share(total int) int { return total / (len(q.lines) + 1) }
