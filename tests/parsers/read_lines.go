// Reads frames as Go's encoding/json does: a line of base64 for each, and a line of JSON for what it says.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type envelope struct {
	RequestID string          `json:"requestId"`
	Module    string          `json:"module"`
	Cmd       string          `json:"cmd"`
	Data      json.RawMessage `json:"data"`
}

type body struct {
	From string          `json:"from,omitempty"`
	To   string          `json:"to,omitempty"`
	Room string          `json:"room,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

type answer struct {
	RequestID string `json:"requestId"`
	Module    string `json:"module"`
	Cmd       string `json:"cmd"`
	From      string `json:"from,omitempty"`
	To        string `json:"to,omitempty"`
	Room      string `json:"room,omitempty"`
	Error     string `json:"error,omitempty"`
}

// Of these commands the server reads no data.
var free = map[string]bool{"PING": true, "ICE_SERVERS": true}

func read(line string) answer {
	frame, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	if err != nil {
		return answer{Error: err.Error()}
	}
	var message envelope
	if err := json.Unmarshal(frame, &message); err != nil {
		return answer{Error: err.Error()}
	}
	found := answer{RequestID: message.RequestID, Module: message.Module, Cmd: message.Cmd}
	if free[message.Cmd] {
		return found
	}
	var data body
	if err := json.Unmarshal(message.Data, &data); err != nil {
		return answer{Error: err.Error()}
	}
	found.From, found.To, found.Room = data.From, data.To, data.Room
	return found
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		text, err := json.Marshal(read(line))
		if err != nil {
			panic(err)
		}
		fmt.Println(string(text))
	}
}
