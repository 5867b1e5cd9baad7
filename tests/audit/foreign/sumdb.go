// Checks a log of ours with the packages of Go's checksum database, and nothing of ours.
//
//	sumdb DIRECTORY VERIFIER_KEY < questions
//
// DIRECTORY is an export in C2SP's tlog-tiles. Each question is a line of JSON, and each answer a line: "yes", or "no: "
// and why not.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A question is about a record that stands at Index, or about an older tree of First entries.
type question struct {
	Kind  string   // record, tree, tiles
	Index int64    // record, tiles
	Body  string   // record, tiles: hexadecimal
	First int64    // tree
	Root  string   // tree: of the older one
	Proof []string // record, tree: hexadecimal
}

// tiles reads tiles of height 8 from files with the names of C2SP.
type tiles struct{ directory string }

func (t tiles) Height() int { return 8 }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		index := fmt.Sprintf("%03d", tile.N%1000)
		for n := tile.N / 1000; n > 0; n /= 1000 {
			index = fmt.Sprintf("x%03d/%s", n%1000, index)
		}
		path := filepath.Join(t.directory, "tile", strconv.Itoa(tile.L), index)
		if tile.W < 256 {
			path += fmt.Sprintf(".p/%d", tile.W)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func hash(text string) (h tlog.Hash) {
	data, err := hex.DecodeString(text)
	if err != nil || copy(h[:], data) != len(h) {
		panic("not a hash: " + text)
	}
	return h
}

func hashes(texts []string) (all []tlog.Hash) {
	for _, text := range texts {
		all = append(all, hash(text))
	}
	return all
}

func ask(q question, tree tlog.Tree, directory string) error {
	body, err := hex.DecodeString(q.Body)
	if err != nil {
		return err
	}
	switch q.Kind {
	case "record":
		return tlog.CheckRecord(hashes(q.Proof), tree.N, tree.Hash, q.Index, tlog.RecordHash(body))
	case "tree":
		return tlog.CheckTree(hashes(q.Proof), tree.N, tree.Hash, q.First, hash(q.Root))
	case "tiles":
		// Reads the tiles, checks each against the tree, and makes the proof itself.
		proof, err := tlog.ProveRecord(tree.N, q.Index, tlog.TileHashReader(tree, tiles{directory}))
		if err != nil {
			return err
		}
		return tlog.CheckRecord(proof, tree.N, tree.Hash, q.Index, tlog.RecordHash(body))
	}
	return fmt.Errorf("unknown question %q", q.Kind)
}

func main() {
	directory := os.Args[1]
	text, err := os.ReadFile(filepath.Join(directory, "checkpoint"))
	if err != nil {
		panic(err)
	}
	verifier, err := note.NewVerifier(os.Args[2])
	if err != nil {
		panic(err)
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		fmt.Println("no:", err)
		return
	}
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		panic(err)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		panic(err)
	}
	tree := tlog.Tree{N: size, Hash: hash(hex.EncodeToString(root))}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<24)
	for input.Scan() {
		var q question
		if err := json.Unmarshal(input.Bytes(), &q); err != nil {
			panic(err)
		}
		if err := ask(q, tree, directory); err != nil {
			fmt.Println("no:", err)
		} else {
			fmt.Println("yes")
		}
	}
}
