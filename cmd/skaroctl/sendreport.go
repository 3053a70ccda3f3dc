package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// sendReport collects the results of a run of send, and makes the error of the run from
// them. The first refusal ends a stream, unless keepGoing is set; a single text still goes to
// the other recipients.
type sendReport struct {
	to        []string // the recipients; with --json there may be none
	stream    bool     // the messages are the records of an input
	keepGoing bool     // a refusal does not end the stream
	// report writes a failure of a stream at once, however many there are. Its result only
	// counts for the exit status. A nil report leaves all failures to finish.
	report func(error) error

	confirmed     int
	lastConfirmed session.Message
	failed        bool               // there was a failure
	skipped       bool               // a record was wrong, and was reported
	failures      []error            // all failures except those in a field below, in the order of the messages
	reported      map[cli.Kind]error // the first failure of each kind that report has written
	unknown       *unknownSpan       // the newest messages, if they are unknown
	refused       *session.Result    // the refusal that ended the stream
	alsoRefused   []session.Message  // those that were in flight then, and were refused too
	unsent        []session.Message
}

// errRefused ends a stream.
var errRefused = errors.New("a message was refused")

// add takes the next result. Its error ends the run.
func (r *sendReport) add(result session.Result) error {
	switch result.State {
	case session.StateConfirmed:
		r.closeSpan()
		r.confirmed, r.lastConfirmed = r.confirmed+1, result.Message
	case session.StateRefused:
		r.closeSpan()
		return r.addRefused(result)
	case session.StateUnknown:
		r.addUnknown(result)
	case session.StateUnsent:
		r.unsent = append(r.unsent, result.Message)
	}
	return nil
}

func (r *sendReport) addRefused(result session.Result) error {
	switch {
	case !r.stream || r.keepGoing:
		r.fail(sendError(result.Message, result.Err))
		return nil
	case r.refused == nil:
		r.refused = &result
		r.fail(sendError(result.Message, result.Err))
	default:
		r.alsoRefused = append(r.alsoRefused, result.Message)
	}
	return errRefused
}

func (r *sendReport) addUnknown(result session.Result) {
	if r.unknown == nil || !r.stream {
		r.closeSpan()
		r.unknown = &unknownSpan{first: result.Message}
	}
	s := r.unknown
	s.last, s.err = result.Message, result.Err
	s.several = s.several || s.last.To != s.first.To
}

// fail takes the failure of a message, or of several.
func (r *sendReport) fail(err error) {
	r.failed = true
	if !r.stream || r.report == nil {
		r.failures = append(r.failures, err)
		return
	}
	written := r.report(err)
	if r.reported == nil {
		r.reported = map[cli.Kind]error{}
	}
	if kind := kindOf(err); r.reported[kind] == nil {
		r.reported[kind] = written
	}
}

// closeSpan makes one failure of the unknown messages: the next result is of another state.
func (r *sendReport) closeSpan() {
	if r.unknown != nil {
		r.fail(r.unknown.failure())
		r.unknown = nil
	}
}

// finish returns the error of the run. cause says why it ended; nil means the end of the
// input. Several errors are joined.
func (r *sendReport) finish(cause error) error {
	if errors.Is(cause, errRefused) {
		cause = nil
	}
	if !r.stream {
		return r.finishText(cause)
	}
	return r.finishStream(cause)
}

// finishText is finish for one text to several recipients.
func (r *sendReport) finishText(cause error) error {
	r.closeSpan()
	if cause != nil && r.confirmed == 0 && len(r.failures) == 0 {
		return errors.Join(r.named(cause))
	}
	for _, m := range r.unsent {
		r.failures = append(r.failures, sendError(m, cause))
	}
	if r.confirmed > 0 && cause != nil && kindOf(cause) == cli.KindInternal || len(r.failures) == 0 {
		r.failures = append(r.failures, r.afterConfirmed(cause))
	}
	return errors.Join(r.failures...)
}

// finishStream is finish for the records of an input.
func (r *sendReport) finishStream(cause error) error {
	var signal *terminal.Interrupt
	interrupted := errors.As(cause, &signal) && (r.unknown != nil || len(r.unsent) > 0)
	if interrupted {
		cause = r.cutShort(signal)
	} else {
		r.closeSpan()
	}
	if len(r.alsoRefused) > 0 {
		r.fail(r.alsoRefusedError())
	}
	switch {
	case cause == nil || interrupted:
	case terminal.ReaderGone(cause): // it leaves messages of a stream unsent, so it is an error
		cause = r.streamEnd(errors.New("the reader of the output is gone"))
	default:
		cause = r.streamEnd(cause)
	}
	errs := append(slices.Collect(maps.Values(r.reported)), r.failures...)
	return errors.Join(append(errs, r.skippedError(), cause)...)
}

// skippedError gives the exit status of a stream in which a record was wrong.
func (r *sendReport) skippedError() error {
	switch {
	case !r.skipped:
		return nil
	case r.confirmed > 0:
		return cli.Reported{Err: &cli.Error{Kind: cli.KindInternal}} // KindUsage promises that nothing was sent
	}
	return cli.Reported{Err: &cli.Error{Kind: cli.KindUsage}}
}

// streamEnd returns the error of a stream that cause has ended.
func (r *sendReport) streamEnd(cause error) error {
	var wrong *cli.Error
	if errors.As(cause, &wrong) && wrong.Kind == cli.KindUsage && (r.confirmed > 0 || r.failed) {
		// KindUsage promises that nothing was sent.
		cause = &cli.Error{Kind: cli.KindInternal, Msg: wrong.Error(), Hint: wrong.Hint}
	}
	err := r.named(cause)
	if len(r.unsent) > 0 && (r.confirmed > 0 || r.failed) {
		err = fmt.Errorf("send: %s: %w", r.unsentSpan(), cause)
	}
	return r.afterConfirmed(err)
}

// named puts the name of the run before an error.
func (r *sendReport) named(cause error) error {
	return fmt.Errorf("%s: %w", r.name(), cause)
}

// name names the run in an error.
func (r *sendReport) name() string {
	if len(r.to) == 0 {
		return "send"
	}
	return "send to " + strings.Join(r.to, ",")
}

// afterConfirmed adds to a local error how many messages were confirmed before it. Otherwise
// the user might send them again.
func (r *sendReport) afterConfirmed(err error) error {
	if err == nil || r.confirmed == 0 || kindOf(err) != cli.KindInternal || errors.As(err, new(*terminal.Interrupt)) || terminal.ReaderGone(err) {
		return err
	}
	return fmt.Errorf("messages confirmed by the server: %d, but: %w", r.confirmed, err)
}

// unsentSpan names the first message that was not sent.
func (r *sendReport) unsentSpan() string {
	return fmt.Sprintf("%s and everything after it was not sent", r.unsent[0])
}

// cutShort says what became of the messages when a signal ended the run.
func (r *sendReport) cutShort(signal *terminal.Interrupt) error {
	said, hint := []string{"nothing is confirmed"}, ""
	if r.confirmed > 0 {
		said[0] = fmt.Sprintf("confirmed up to %s", r.lastConfirmed)
	}
	if r.unknown != nil {
		said, hint = append(said, r.unknown.String()+" may or may not have been delivered"), lookFirst
	}
	if len(r.unsent) > 0 {
		said = append(said, r.unsentSpan())
	}
	return &cli.Error{
		Kind: cli.KindInterrupted, Hint: hint,
		Msg: r.name(), Err: fmt.Errorf("%w: %s", signal, strings.Join(said, "; ")),
	}
}

// alsoRefusedMost is how many messages an error names.
const alsoRefusedMost = 10

// alsoRefusedError names the messages that were refused after the first one.
func (r *sendReport) alsoRefusedError() error {
	var names []string
	for _, m := range r.alsoRefused[:min(len(r.alsoRefused), alsoRefusedMost)] {
		names = append(names, m.String())
	}
	if left := len(r.alsoRefused) - alsoRefusedMost; left > 0 {
		names = append(names, fmt.Sprintf("and %d others", left))
	}
	err := &cli.Error{
		Kind: cli.KindRefused,
		Msg:  fmt.Sprintf("send: %d more in flight were refused too: %s", len(r.alsoRefused), strings.Join(names, ", ")),
	}
	var first *session.Error
	if errors.As(r.refused.Err, &first) {
		err.Status, err.Hint, err.RetryAfter = proto.StatusCode(first.Status), refusalHint(first), first.RetryAfter
	}
	return err
}

// unknownSpan are messages that follow each other and whose state is unknown.
type unknownSpan struct {
	first, last session.Message
	several     bool // they are to several recipients
	err         error
}

// String names the messages.
func (s *unknownSpan) String() string {
	switch {
	case s.first == s.last:
		return s.first.String()
	case s.several:
		return fmt.Sprintf("%s up to %s", s.first, s.last)
	}
	return fmt.Sprintf("%ss %d to %d to %s", s.first.Unit(), s.first.Line, s.last.Line, s.first.To)
}

// failure is the one error for all of them.
func (s *unknownSpan) failure() error {
	var unknown *session.Error
	if s.first == s.last || !errors.As(s.err, &unknown) {
		return sendError(s.last, s.err)
	}
	return &cli.Error{
		Kind: cli.KindUnknown, Hint: lookFirst, Err: unknown.Err,
		Msg: fmt.Sprintf("send: %s: sent, but not confirmed by the server: each may or may not have been delivered", s),
	}
}

func sendError(m session.Message, err error) error {
	if m.Line > 0 {
		return fmt.Errorf("send: %s: %w", m, err)
	}
	return fmt.Errorf("send to %s: %w", m.To, err)
}
