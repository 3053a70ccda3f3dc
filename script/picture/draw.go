package main

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// pane is a terminal in the picture.
type pane struct{ title, text string }

const (
	cell       = 9.0 // width of a character
	leading    = 21.0
	size       = 15.0
	margin     = 18.0
	bar        = 34.0
	gap        = 14.0
	background = "#0d1117"
	foreground = "#e6edf3"
)

// palette are the sixteen colours that a terminal chooses by itself.
var palette = [16]string{
	"#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
	"#8b949e", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc",
}

// colour is one of the 256 colours, as xterm has them.
func colour(n int) string {
	switch {
	case n < 16:
		return palette[n]
	case n < 232:
		level := func(n int) int {
			if n == 0 {
				return 0
			}
			return 55 + 40*n
		}
		n -= 16
		return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
	}
	return fmt.Sprintf("#%02[1]x%02[1]x%02[1]x", 8+10*(n-232))
}

// style is how a run of text looks.
type style struct {
	colour    string
	bold, dim bool
}

// change applies the parameters of an SGR sequence (ECMA-48, 8.3.117).
func (s style) change(parameters string) style {
	codes := strings.Split(parameters, ";")
	for i := 0; i < len(codes); i++ {
		n, _ := strconv.Atoi(codes[i]) // an empty one is 0
		switch {
		case n == 0:
			s = style{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.dim = true
		case n == 22:
			s.bold, s.dim = false, false
		case n >= 30 && n <= 37:
			s.colour = palette[n-30]
		case n >= 90 && n <= 97:
			s.colour = palette[n-90+8]
		case n == 39:
			s.colour = ""
		case n == 38 && i+2 < len(codes) && codes[i+1] == "5":
			n, _ := strconv.Atoi(codes[i+2])
			s.colour = colour(n)
			i += 2
		}
	}
	return s
}

func (s style) attributes() string {
	var a strings.Builder
	if s.colour != "" {
		fmt.Fprintf(&a, ` fill="%s"`, s.colour)
	}
	if s.bold {
		a.WriteString(` font-weight="bold"`)
	}
	if s.dim {
		a.WriteString(` opacity=".65"`)
	}
	return a.String()
}

// draw makes an SVG of the panes, one above the other. It has its own background,
// and says of every run of text how wide it is: so it looks the same on a light
// and a dark page, and with any font.
func draw(panes []pane) []byte {
	var body strings.Builder
	width, y := columns*cell+2*margin, 0.0
	for _, p := range panes {
		lines := strings.Split(strings.Trim(p.text, "\n"), "\n")
		height := bar + float64(len(lines))*leading + margin
		fmt.Fprintf(&body, `<rect x=".5" y="%g" width="%g" height="%g" rx="8" fill="%s" stroke="#444c56"/>`+"\n", y+.5, width-1, height-1, background)
		for i, c := range []string{"#ff5f57", "#febc2e", "#28c840"} {
			fmt.Fprintf(&body, `<circle cx="%g" cy="%g" r="5.5" fill="%s"/>`+"\n", margin+4+float64(i)*19, y+bar/2, c)
		}
		fmt.Fprintf(&body, `<text x="%g" y="%g" text-anchor="middle" fill="#8b949e" font-size="13">%s</text>`+"\n", width/2, y+bar/2+4.5, html.EscapeString(p.title))
		var s style
		for i, line := range lines {
			s = drawLine(&body, line, s, y+bar+float64(i)*leading+size)
		}
		y += height + gap
	}
	return []byte(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img">
<title>Two terminals: one sends messages with skaroctl, the other listens</title>
<style>text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}</style>
<g font-size="%g" fill="%s">
%s</g>
</svg>
`, width, y-gap, width, y-gap, size, foreground, body.String()))
}

// drawLine draws one line of a terminal, and returns the style at its end.
func drawLine(body *strings.Builder, line string, s style, y float64) style {
	column := 0
	for line != "" {
		run, rest, escape := strings.Cut(line, "\x1b[")
		if run != "" {
			n := utf8.RuneCountInString(run)
			// A word is placed by itself, so that blanks need no width.
			at := 0
			for _, word := range strings.SplitAfter(run, " ") {
				length := utf8.RuneCountInString(word)
				if text := strings.TrimSpace(word); text != "" {
					fmt.Fprintf(body, `<text x="%g" y="%g" textLength="%g"%s>%s</text>`+"\n",
						margin+float64(column+at)*cell, y, float64(utf8.RuneCountInString(text))*cell, s.attributes(), html.EscapeString(text))
				}
				at += length
			}
			column += n
		}
		if !escape {
			break
		}
		// Every escape sequence of these programs ends with a letter; only the style has
		// an effect here.
		end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' })
		if end < 0 {
			break
		}
		if rest[end] == 'm' {
			s = s.change(rest[:end])
		}
		line = rest[end+1:]
	}
	return s
}
