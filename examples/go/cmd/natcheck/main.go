// SPDX-License-Identifier: MIT

// Natcheck is the shortest useful program: one check, with the servers given or the built-in public ones.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"example.com/natprobe"
)

func main() {
	result, err := natprobe.Check(context.Background(), natprobe.WithServers(os.Args[1:]...))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, seen as %s\n", result.NATType.Description(), result.External)
}
