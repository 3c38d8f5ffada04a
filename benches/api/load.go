// The load of benches/api/run.sh: the same requests to Kubernetes and to Stead, over TLS and HTTP/1.1, without a
// library between, so that the client costs little beside the server. Each scenario prints one line of figures.
//
// usage: load URL CA-FILE TOKEN-FILE SCENARIO ARGUMENT…
//
//	fill NAMESPACE COUNT SIZE CLIENTS    creates ConfigMaps with SIZE bytes of data: writes/s, p50 and p99 in ms
//	list NAMESPACE ROUNDS [MEDIA-TYPE]   lists all: median in s, and the bytes of an answer
//	watch NAMESPACE WATCHES RATE SECONDS watches all while RATE objects/s change: events, p50 and p99 in ms from the
//	                                     moment before the write was sent to the one in which a watch had the event
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type server struct {
	url, token string
	client     *http.Client
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func connect(url, ca, token string) *server {
	pem, err := os.ReadFile(ca)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	secret, err := os.ReadFile(token)
	check(err)
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1
		MaxIdleConnsPerHost: 1000,
		DisableCompression:  true,
	}
	return &server{url, strings.TrimSpace(string(secret)), &http.Client{Transport: transport}}
}

func (s *server) send(method, path, mediaType, accept string, body []byte) *http.Response {
	request, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader(body))
	check(err)
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", mediaType)
	request.Header.Set("Accept", accept)
	response, err := s.client.Do(request)
	check(err)
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(response.Body)
		log.Fatalf("%s %s: %d %s", method, path, response.StatusCode, text)
	}
	return response
}

func (s *server) do(method, path, mediaType, accept string, body []byte) int64 {
	response := s.send(method, path, mediaType, accept, body)
	size, err := io.Copy(io.Discard, response.Body)
	check(err)
	check(response.Body.Close())
	return size
}

const jsonType = "application/json"

func maps(namespace string) string { return "/api/v1/namespaces/" + namespace + "/configmaps" }

func configMap(name, filling string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"filling":%q}}`, name, filling)
}

// milliseconds of the quantile q.
func quantile(sorted []time.Duration, q float64) float64 {
	return float64(sorted[min(int(float64(len(sorted))*q), len(sorted)-1)].Microseconds()) / 1000
}

func (s *server) fill(namespace string, count, size, clients int) {
	filling := strings.Repeat("x", size)
	times := make([]time.Duration, count)
	var next atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for range clients {
		all.Go(func() {
			for {
				index := int(next.Add(1)) - 1
				if index >= count {
					return
				}
				sent := time.Now()
				s.do(http.MethodPost, maps(namespace), jsonType, jsonType, configMap(fmt.Sprintf("map-%06d", index), filling))
				times[index] = time.Since(sent)
			}
		})
	}
	all.Wait()
	spent := time.Since(begun)
	slices.Sort(times)
	fmt.Printf("%.0f %.2f %.2f\n", float64(count)/spent.Seconds(), quantile(times, 0.5), quantile(times, 0.99))
}

func (s *server) list(namespace string, rounds int, accept string) {
	times := make([]time.Duration, rounds)
	var size int64
	for round := range times {
		sent := time.Now()
		size = s.do(http.MethodGet, maps(namespace), jsonType, accept, nil)
		times[round] = time.Since(sent)
	}
	slices.Sort(times)
	fmt.Printf("%.3f %d\n", times[rounds/2].Seconds(), size)
}

// watcher reads lines and looks only for the moment that is written into every change.
func (s *server) watcher(path string, begun time.Time, ready *sync.WaitGroup, seen func(time.Duration)) {
	response := s.send(http.MethodGet, path, jsonType, jsonType, nil)
	ready.Done()
	reader := bufio.NewReaderSize(response.Body, 16<<10)
	marker := []byte(`"moment":"`)
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return // The server ends the watch at its timeout.
		}
		now := time.Since(begun)
		if at := bytes.Index(line, marker); at >= 0 {
			rest := line[at+len(marker):]
			moment, err := strconv.ParseInt(string(rest[:bytes.IndexByte(rest, '"')]), 10, 64)
			check(err)
			seen(now - time.Duration(moment))
		}
	}
}

func (s *server) watch(namespace string, watches, rate, seconds int) {
	s.do(http.MethodPost, maps(namespace), jsonType, jsonType, configMap("moving", strings.Repeat("x", 1000)))
	response := s.send(http.MethodGet, maps(namespace)+"?limit=1", jsonType, jsonType, nil)
	text, err := io.ReadAll(response.Body)
	check(err)
	_, after, _ := strings.Cut(string(text), `"resourceVersion":"`)
	version, _, _ := strings.Cut(after, `"`)
	path := fmt.Sprintf("%s?watch=true&resourceVersion=%s&timeoutSeconds=%d", maps(namespace), version, seconds+5)
	begun := time.Now()
	times := make([][]time.Duration, watches)
	var ready, all sync.WaitGroup
	ready.Add(watches)
	for index := range watches {
		all.Go(func() {
			s.watcher(path, begun, &ready, func(late time.Duration) { times[index] = append(times[index], late) })
		})
	}
	ready.Wait()
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	var writes sync.WaitGroup
	for range rate * seconds {
		<-ticker.C
		writes.Go(func() {
			moment := int64(time.Since(begun))
			body := fmt.Appendf(nil, `{"data":{"moment":"%d"}}`, moment)
			s.do(http.MethodPatch, maps(namespace)+"/moving", "application/merge-patch+json", jsonType, body)
		})
	}
	writes.Wait()
	all.Wait()
	sorted := slices.Concat(times...)
	slices.Sort(sorted)
	fmt.Printf("%d %.2f %.2f\n", len(sorted), quantile(sorted, 0.5), quantile(sorted, 0.99))
}

func main() {
	s, arguments := connect(os.Args[1], os.Args[2], os.Args[3]), os.Args[5:]
	switch os.Args[4] {
	case "fill":
		s.fill(arguments[0], number(arguments[1]), number(arguments[2]), number(arguments[3]))
	case "list":
		accept := jsonType
		if len(arguments) > 2 {
			accept = arguments[2]
		}
		s.list(arguments[0], number(arguments[1]), accept)
	case "watch":
		s.watch(arguments[0], number(arguments[1]), number(arguments[2]), number(arguments[3]))
	default:
		log.Fatalf("no scenario %s", os.Args[4])
	}
}
