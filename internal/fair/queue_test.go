package fair

import (
	"fmt"
	"testing"
)

// drain pops everything, and returns the users in the order of their items.
func drain(q *Queue[int]) []int64 {
	var users []int64
	for x := q.Pop(); x != nil; x = q.Pop() {
		users = append(users, x.User)
	}
	return users
}

func count(users []int64, user int64) (n int) {
	for _, u := range users {
		if u == user {
			n++
		}
	}
	return n
}

func TestEachUserKeepsTheOrder(t *testing.T) {
	q := NewQueue[int](10)
	for i := range 300 {
		q.Push(int64(i%3), 1+i%7, i)
	}
	last := map[int64]int{0: -1, 1: -1, 2: -1}
	for range 300 {
		x := q.Pop()
		if x.Value <= last[x.User] || int64(x.Value%3) != x.User {
			t.Fatalf("%d of user %d comes after %d", x.Value, x.User, last[x.User])
		}
		last[x.User] = x.Value
	}
	if q.Pop() != nil || q.Len() != 0 || len(q.lines) != 0 || q.first != nil || q.last != nil {
		t.Errorf("something is left: %+v", q)
	}
}

// A user who comes later waits for no more than a turn of each other user.
func TestPopServesUsersInTurn(t *testing.T) {
	q := NewQueue[int](10)
	for i := range 1000 {
		q.Push(1, 1, i)
		q.Push(2, 1, i)
	}
	q.Pop()
	q.Push(3, 1, 0)
	users := drain(q)
	if at := fmt.Sprint(users[:21]); count(users[:21], 3) != 1 {
		t.Errorf("the user with one item is not among %s", at)
	}
	if a, b := count(users[:1000], 1), count(users[:1000], 2); a < 490 || b < 490 {
		t.Errorf("equal users have %d and %d of 1000", a, b)
	}
}

// Shares are equal in cost, not in items.
func TestPopCountsCost(t *testing.T) {
	for _, test := range []struct{ large, items int }{{4, 250}, {40, 25}, {100, 10}} {
		q := NewQueue[int](10)
		for i := range 1000 {
			q.Push(1, 1, i)
			q.Push(2, test.large, i)
		}
		users, cost := []int64{}, 0
		for cost < 2000 {
			x := q.Pop()
			users = append(users, x.User)
			cost += map[int64]int{1: 1, 2: test.large}[x.User]
		}
		if n := count(users, 2); n < test.items-3 || n > test.items+3 {
			t.Errorf("items of %d: %d of them beside %d of 1", test.large, n, count(users, 1))
		}
	}
}

// Work that proved more costly than it seemed counts in the turns that follow, and only beside
// other users.
func TestChargeShortensTurns(t *testing.T) {
	q := NewQueue[int](10)
	q.Push(1, 1, 0)
	q.Charge(1, 1_000_000)
	q.Pop()
	for i := range 100 {
		q.Push(1, 1, i)
	}
	q.Charge(1, 50)
	q.Charge(2, 50) // has nothing queued
	for i := range 100 {
		q.Push(2, 1, i)
	}
	if n := count(drain(q)[:60], 1); n > 10 || n < 1 {
		t.Errorf("the user in debt has %d of 60", n)
	}
}

func TestShareShrinksWithEachUser(t *testing.T) {
	q := NewQueue[int](10)
	x := q.Push(1, 5, 0)
	if !q.Grow(x, 7) || q.Share(100) != 50 || q.CostOf(1) != 12 || q.CostOf(2) != 0 {
		t.Errorf("%d, %d, %d", q.Share(100), q.CostOf(1), q.CostOf(2))
	}
	q.Push(2, 1, 0)
	if q.Share(99) != 33 {
		t.Errorf("%d", q.Share(99))
	}
	drain(q)
	if q.Grow(x, 1) || q.CostOf(1) != 0 {
		t.Error("an item that was taken has grown")
	}
}

// A user who is not ready delays nobody. The user's items keep their order, and the turns are kept.
func TestPopOfPassesUsersWhoAreNotReady(t *testing.T) {
	q := NewQueue[int](10)
	for i := range 30 {
		q.Push(1, 5, i)
		q.Push(2, 40, i)
		q.Push(3, 5, i)
	}
	waits := map[int64]bool{1: true, 3: true}
	ready := func(user int64) bool { return !waits[user] }
	for i := range 10 {
		if x := q.PopOf(ready); x == nil || x.User != 2 || x.Value != i {
			t.Fatalf("item %d is %+v", i, x)
		}
	}
	waits[2] = true
	if x := q.PopOf(ready); x != nil || q.Len() != 80 {
		t.Errorf("%+v is taken, %d are left", x, q.Len())
	}
	delete(waits, 1)
	if x := q.PopOf(ready); x == nil || x.User != 1 || x.Value != 0 {
		t.Errorf("%+v is taken", x)
	}
	var users []int64
	q.Users(func(user int64) bool { users = append(users, user); return len(users) < 2 })
	if len(users) != 2 || users[0] == users[1] {
		t.Errorf("users %v", users)
	}
	if n := len(drain(q)); n != 79 || q.PopOf(ready) != nil {
		t.Errorf("%d are left", n)
	}
}
