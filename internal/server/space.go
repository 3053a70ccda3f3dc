package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// space watches the free space of the disk. What would take more of it is refused below the
// limit, so that the database can still be written: sessions, checkpoints, deletions.
type space struct {
	free    func() (uint64, error)
	unused  func(context.Context) (uint64, error) // space inside the database file
	least   uint64
	checked atomic.Int64 // when free was called last, in nanoseconds
	low     atomic.Bool
	logged  atomic.Bool // that it is low
}

// spaceTime is how long an answer of the system counts. What arrives meanwhile is far less than
// the limit.
const spaceTime = 50 * time.Millisecond

// isLow reports whether there is less free space than the limit. If the system does not say,
// there is enough.
func (x *space) isLow() bool {
	now := time.Now().UnixNano()
	if last := x.checked.Load(); now-last < int64(spaceTime) || !x.checked.CompareAndSwap(last, now) {
		return x.low.Load()
	}
	free, err := x.free()
	x.low.Store(err == nil && free < x.least && !x.hasRoomInside(free))
	return x.low.Load()
}

// unusedTime bounds the question for the space inside the file.
const unusedTime = time.Second

// hasRoomInside reports whether the file has room for what the disk lacks, because messages were
// deleted. Three quarters of the limit must be free on the disk even so: by default 48 MiB,
// for a write-ahead log of 40 MiB.
func (x *space) hasRoomInside(free uint64) bool {
	if free < x.least/4*3 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), unusedTime)
	defer cancel()
	unused, err := x.unused(ctx)
	return err == nil && free+unused >= x.least
}

// checkSpace refuses a request that would store something if the disk is almost full.
func (s *Server) checkSpace() error {
	if s.isDiskLow() {
		return refuse(proto.StatusStorage, "the server's disk is almost full: %s", s.o.limited(minFreeSpace))
	}
	return nil
}

// isDiskLow reports whether the disk is almost full, and logs it when it has become so.
func (s *Server) isDiskLow() bool {
	low := s.space.isLow()
	if low && s.space.logged.CompareAndSwap(false, true) {
		free, _ := s.space.free()
		s.o.Log.Error("the disk is almost full, and new messages are refused", "free_bytes", free, minFreeSpace, s.space.least)
	}
	return low
}

// logSpace logs if the disk has become almost full, or has room again. Only keepHouse calls it,
// so that free space just around the limit does not fill the log.
func (s *Server) logSpace() {
	if !s.isDiskLow() && s.space.logged.CompareAndSwap(true, false) {
		free, _ := s.space.free()
		s.o.Log.Info("the disk has room again", "free_bytes", free, minFreeSpace, s.space.least)
	}
}

// prune is the goroutine that deletes what is older than Keep. ctx ends it.
func (s *Server) prune(ctx context.Context) {
	ticker := time.NewTicker(s.o.PruneInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		deleted, err := s.o.Store.Prune(ctx, s.o.Clock().Add(-s.o.Keep))
		if deleted > 0 {
			s.o.Log.Info("old messages deleted", "count", deleted, "keep", s.o.Keep)
		}
		if err != nil && ctx.Err() == nil {
			s.o.Log.Error("delete old messages", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// orDiskFull returns the answer to a request that failed because the disk is full, or the error.
func orDiskFull(err error) error {
	if store.Full(err) {
		return refuse(proto.StatusStorage, "the server's disk is full; nothing was done")
	}
	return err
}
