// SPDX-License-Identifier: MIT

package natprobe

// #include "header.h"
import "C"

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
)

// names is how the values of a type are called, both ways. The names are those of the library that is running. What it
// has no name for may come from a newer one, and is kept: a number as "NATType(42)", a name as a number of its own.
type names[T ~int32] struct {
	typeName    string            // "NATType"
	what        string            // "NAT type"
	isName      func(string) bool // whether a library might have such a name
	ofLibrary   func(T) *C.char
	zeroIsNamed bool // "unknown" is the name of 0, and not what the library says of any other value

	once    sync.Once
	byName  map[string]T
	foreign register
}

// The range in which values with names are looked for.
const firstNamed, lastNamed = math.MinInt8, math.MaxInt8

// firstForeign is the number of the first name that the library does not know. No library has such numbers.
const firstForeign = math.MinInt32

const noName = "unknown" // what the library says of values that it does not know

// known returns the library's name.
func (n *names[T]) known(value T) (string, bool) {
	name := C.GoString(n.ofLibrary(value))
	return name, name != noName || value == 0 && n.zeroIsNamed
}

func (n *names[T]) find(name string) (T, bool) {
	n.once.Do(func() {
		n.byName = map[string]T{}
		for i := firstNamed; i <= lastNamed; i++ {
			if name, ok := n.known(T(i)); ok {
				n.byName[name] = T(i)
			}
		}
	})
	value, ok := n.byName[name]
	return value, ok
}

func (n *names[T]) of(value T) string {
	if name, ok := n.known(value); ok {
		return name
	}
	if name, ok := n.foreign.name(int(value) - firstForeign); ok {
		return name
	}
	return fmt.Sprintf("%s(%d)", n.typeName, int32(value))
}

func (n *names[T]) marshal(value T) ([]byte, error) { return []byte(n.of(value)), nil }

func (n *names[T]) unmarshal(value *T, text []byte) error {
	name := string(text)
	if v, ok := n.find(name); ok {
		*value = v
		return nil
	}
	if number, err := strconv.ParseInt(inside(name, n.typeName), 10, 32); err == nil {
		*value = T(number)
		return nil
	}
	if n.isName(name) {
		if index, ok := n.foreign.index(name, mostForeignNames); ok {
			*value = T(firstForeign + index)
			return nil
		}
	}
	return fmt.Errorf("natprobe: no %s is called %.40q", n.what, name)
}

// unmarshalJSON reads a name or a number.
func (n *names[T]) unmarshalJSON(value *T, text []byte) error {
	if len(text) > 0 && text[0] != '"' {
		number := int32(*value) // which stays with null, by the convention of package json
		err := json.Unmarshal(text, &number)
		*value = T(number)
		return err
	}
	var name string
	if err := json.Unmarshal(text, &name); err != nil {
		return err
	}
	return n.unmarshal(value, []byte(name))
}

// inside returns what stands between the parentheses of String for a value without a name, "" for other texts.
func inside(text, typeName string) string {
	text, isSo := strings.CutPrefix(text, typeName+"(")
	text, isClosed := strings.CutSuffix(text, ")")
	if !isSo || !isClosed {
		return ""
	}
	return text
}

const longestName = 64

// kebabCase is the form of nearly all names.
func kebabCase(name string) bool {
	return isMadeOf(name, func(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' })
}

// romanNumber is the form of the names of requests.
func romanNumber(name string) bool {
	return isMadeOf(name, func(r rune) bool { return strings.ContainsRune("IVX", r) })
}

func isMadeOf(name string, isPart func(rune) bool) bool {
	isOther := func(r rune) bool { return !isPart(r) }
	return name != "" && len(name) <= longestName && !strings.ContainsFunc(name, isOther)
}

// register numbers names, from 0, for the life of the process.
type register struct {
	mu    sync.Mutex
	names []string
}

// mostForeignNames bounds the register of a type, since names may come from anywhere.
const mostForeignNames = 256

// index returns a name's number; a new one if it has none, unless there are most already.
func (r *register) index(name string, most int) (int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, known := range r.names {
		if known == name {
			return i, true
		}
	}
	if len(r.names) >= most {
		return 0, false
	}
	r.names = append(r.names, strings.Clone(name))
	return len(r.names) - 1, true
}

func (r *register) name(index int) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if index < 0 || index >= len(r.names) {
		return "", false
	}
	return r.names[index], true
}
