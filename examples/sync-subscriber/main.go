// Reacts to syncs of Berth that ended well: prints what changed, each once, also over its own ends and those of NATS.
// It knows of Berth what docs/reference/asyncapi.json says, and nothing else.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	stream  = "SYNC"
	subject = "berth.v1.sync.run.completed.>"
)

// event has of an event what is used here; what else there is, or will be one day, is passed over.
type event struct {
	Sequence string `json:"sequence"`
	Data     struct {
		Repository string `json:"repository"`
		Remote     string `json:"remote"`
		Version    int    `json:"version"`
		Created    bool   `json:"created"`
		TagCounts  struct {
			Added   int `json:"added"`
			Moved   int `json:"moved"`
			Removed int `json:"removed"`
		} `json:"tagCounts"`
	} `json:"data"`
}

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	login, err := nats.NkeyOptionFromSeed(os.Getenv("BERTH_READER_SEED_FILE"))
	if err != nil {
		return fmt.Errorf("BERTH_READER_SEED_FILE: %w", err)
	}
	// It waits for a server that is away for as long as it takes.
	connection, err := nats.Connect(os.Getenv("NATS_URL"), login, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		return fmt.Errorf("NATS_URL: %w", err)
	}
	defer connection.Close()
	js, err := jetstream.New(connection)
	if err != nil {
		return err
	}
	done, err := readDone()
	if err != nil {
		return err
	}
	stopped, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for stopped.Err() == nil {
		if err := follow(stopped, js, &done); err != nil && stopped.Err() == nil {
			log.Printf("reading again in a second: %v", err)
			time.Sleep(time.Second)
		}
	}
	return nil
}

// follow reads all that the stream keeps and what comes, by a consumer that is there for a moment: what was done is known by its sequence.
func follow(ctx context.Context, js jetstream.JetStream, done *uint64) error {
	consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		FilterSubject: subject,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckNonePolicy,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	context.AfterFunc(ctx, messages.Stop)
	for {
		message, err := messages.Next()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := handle(message.Data(), done); err != nil {
			return err
		}
	}
}

func handle(data []byte, done *uint64) error {
	var told event
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	sequence, err := strconv.ParseUint(told.Sequence, 10, 64)
	if err != nil {
		return err
	}
	if sequence <= *done {
		return nil
	}
	what := told.Data
	fmt.Printf("%s is at version %d from %s: %d tags added, %d moved, %d removed\n",
		what.Repository, what.Version, what.Remote, what.TagCounts.Added, what.TagCounts.Moved, what.TagCounts.Removed)
	*done = sequence
	return writeDone(sequence)
}

// A subscriber with a database keeps the sequence there, in the transaction of what it does. Here a line that is printed right before the
// program is killed is printed once more.
func readDone() (uint64, error) {
	text, err := os.ReadFile(os.Getenv("STATE_FILE"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("STATE_FILE: %w", err)
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

func writeDone(sequence uint64) error {
	file := os.Getenv("STATE_FILE")
	if err := os.WriteFile(file+".new", fmt.Appendf(nil, "%d\n", sequence), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
