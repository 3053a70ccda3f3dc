//go:build !unix

package account

// modesMatter: a file's mode says who may read it.
const modesMatter = false
