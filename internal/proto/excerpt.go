package proto

import "fmt"

// maxExcerpt is how many characters of a peer's text are in an error or a notice.
const maxExcerpt = 300

// Excerpt returns a peer's text for an error or a notice: cut, with its length, if it is
// long.
func Excerpt(text string) string {
	if len(text) <= maxExcerpt {
		return text
	}
	n, end := 0, 0
	for i := range text {
		if n == maxExcerpt {
			end = i
		}
		n++
	}
	if n <= maxExcerpt {
		return text
	}
	return fmt.Sprintf("%s… (%d characters)", text[:end], n)
}
