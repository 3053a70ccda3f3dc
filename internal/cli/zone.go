package cli

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // for images and systems that have no time zones of their own
)

// ZoneNotice returns what to tell a user whose TZ names no time zone, or "". Times are
// in UTC then.
func ZoneNotice(getenv func(string) string) string {
	zone := strings.TrimPrefix(getenv("TZ"), ":")
	if zone == "" || zone == "UTC" || time.Local.String() != "UTC" {
		return ""
	}
	return fmt.Sprintf("TZ is %q, which is not a time zone like Europe/Berlin: times are in UTC", zone)
}
