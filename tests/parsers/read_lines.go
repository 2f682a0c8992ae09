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

// What a signal is read as; a member that only other commands have may be of any type.
type signal struct {
	From string          `json:"from"`
	To   string          `json:"to"`
	Data json.RawMessage `json:"data"`
}

// What is read of a command about a room.
type aboutRoom struct {
	Room string `json:"room"`
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
	switch {
	case strings.HasPrefix(message.Cmd, "WEBRTC_"):
		var data signal
		err = json.Unmarshal(message.Data, &data)
		found.From, found.To = data.From, data.To
	case message.Cmd == "JOIN" || message.Cmd == "LEAVE" || message.Cmd == "MEMBERS":
		var data aboutRoom
		err = json.Unmarshal(message.Data, &data)
		found.Room = data.Room
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
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
