// Informers, leader election and event recorders of client-go, as every Kubernetes controller uses them, against the
// cluster that KUBECONFIG names. Prints what it found as one JSON object; ends with an error when something is not as
// it must be.
//
// usage: informers NAMESPACE   (the namespace and the kind Fleet of test.stead.dev are there)
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
)

const (
	soon  = time.Minute
	count = 40
)

var fleets = schema.GroupVersionResource{Group: "test.stead.dev", Version: "v1", Resource: "fleets"}

// requests counts what goes over the wire, by what matters here.
type requests struct {
	next http.RoundTripper

	mutex                     sync.Mutex
	lists, watchLists, protos int
}

func (r *requests) RoundTrip(request *http.Request) (*http.Response, error) {
	query := request.URL.Query()
	collection := request.Method == http.MethodGet && strings.HasSuffix(request.URL.Path, "/configmaps")
	r.mutex.Lock()
	switch {
	case collection && query.Get("sendInitialEvents") == "true":
		r.watchLists++
	case collection && query.Get("watch") == "" && query.Get("limit") != "7":
		r.lists++
	}
	if request.Header.Get("Content-Type") == "application/vnd.kubernetes.protobuf" {
		r.protos++
	}
	r.mutex.Unlock()
	return r.next.RoundTrip(request)
}

// seen is what an informer told of one kind.
type seen struct {
	mutex                   sync.Mutex
	added, updated, deleted int
	versions                map[string]int
	wrong                   []string
}

func (s *seen) note(object any, counter *int) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	meta := object.(metav1.Object)
	version, err := strconv.Atoi(meta.GetResourceVersion())
	s.mutex.Lock()
	defer s.mutex.Unlock()
	*counter++
	if err != nil || version <= s.versions[meta.GetName()] {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: version %s after %d", meta.GetName(), meta.GetResourceVersion(), s.versions[meta.GetName()]))
	}
	s.versions[meta.GetName()] = version
}

func (s *seen) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { s.note(object, &s.added) },
		UpdateFunc: func(old, object any) {
			// A resync tells what has not changed.
			if old.(metav1.Object).GetResourceVersion() != object.(metav1.Object).GetResourceVersion() {
				s.note(object, &s.updated)
			}
		},
		DeleteFunc: func(object any) { s.note(object, &s.deleted) },
	}
}

func (s *seen) counts() [3]int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return [3]int{s.added, s.updated, s.deleted}
}

func check(err error, what string) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func until(ctx context.Context, what string, condition func() bool) {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, soon, true, func(context.Context) (bool, error) {
		return condition(), nil
	})
	check(err, what)
}

type world struct {
	namespace string
	config    *rest.Config
	client    kubernetes.Interface
	dynamic   dynamic.Interface
}

func main() {
	ctx := context.Background()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	check(err, "KUBECONFIG")
	counted := &requests{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		counted.next = next
		return counted
	})
	config.QPS, config.Burst = 500, 1000
	plain := rest.CopyConfig(config)
	// As the controllers of Kubernetes ask and send.
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	w := world{namespace: os.Args[1], config: config}
	w.client, err = kubernetes.NewForConfig(config)
	check(err, "a typed client")
	w.dynamic, err = dynamic.NewForConfig(plain)
	check(err, "a dynamic client")

	found := map[string]any{}
	w.inform(ctx, found)
	w.elect(ctx, found)
	w.record(ctx, found)
	w.write(ctx, found)
	counted.mutex.Lock()
	found["lists"], found["watchLists"], found["protobuf"] = counted.lists, counted.watchLists, counted.protos > 0
	counted.mutex.Unlock()
	check(json.NewEncoder(os.Stdout).Encode(found), "standard output")
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"set": "informed"}},
		Data:       map[string]string{"n": "0"},
	}
}

func fleet(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "test.stead.dev/v1", "kind": "Fleet",
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"replicas": int64(1)},
	}}
}

// inform changes objects of a core kind and of a custom one while informers follow, and compares what these saw.
func (w *world) inform(ctx context.Context, found map[string]any) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	maps := w.client.CoreV1().ConfigMaps(w.namespace)
	custom := w.dynamic.Resource(fleets).Namespace(w.namespace)
	for i := range count / 2 {
		_, err := maps.Create(ctx, configMap(fmt.Sprintf("map-%d", i)), metav1.CreateOptions{})
		check(err, "create")
	}
	chosen := func(options *metav1.ListOptions) { options.LabelSelector = "set=informed" }
	factory := informers.NewSharedInformerFactoryWithOptions(w.client, 0,
		informers.WithNamespace(w.namespace), informers.WithTweakListOptions(chosen))
	typed := factory.Core().V1().ConfigMaps()
	dynamicFactory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(w.dynamic, 0, w.namespace, nil)
	dynamicInformer := dynamicFactory.ForResource(fleets)
	ofMaps, ofFleets := &seen{versions: map[string]int{}}, &seen{versions: map[string]int{}}
	_, err := typed.Informer().AddEventHandler(ofMaps.handler())
	check(err, "a handler")
	_, err = dynamicInformer.Informer().AddEventHandler(ofFleets.handler())
	check(err, "a handler")
	factory.Start(ctx.Done())
	dynamicFactory.Start(ctx.Done())
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			log.Fatalf("the cache of %v did not fill", kind)
		}
	}
	dynamicFactory.WaitForCacheSync(ctx.Done())

	for i := count / 2; i < count; i++ {
		_, err := maps.Create(ctx, configMap(fmt.Sprintf("map-%d", i)), metav1.CreateOptions{})
		check(err, "create")
		_, err = custom.Create(ctx, fleet(fmt.Sprintf("fleet-%d", i)), metav1.CreateOptions{})
		check(err, "create a fleet")
	}
	for i := range count {
		name := fmt.Sprintf("map-%d", i)
		err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
			object, err := maps.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			object.Data["n"] = strconv.Itoa(i + 1)
			_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
			return err
		})
		check(err, "update")
	}
	// One leaves the sight of the selector, one leaves altogether.
	_, err = maps.Patch(ctx, "map-0", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"set":"other"}}}`), metav1.PatchOptions{})
	check(err, "patch")
	check(maps.Delete(ctx, "map-1", metav1.DeleteOptions{}), "delete")
	_, err = custom.Patch(ctx, "fleet-39", types.MergePatchType, []byte(`{"spec":{"replicas":5}}`), metav1.PatchOptions{})
	check(err, "patch a fleet")
	check(custom.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=fleet-20"}), "delete a fleet")

	until(ctx, "the maps' events", func() bool { return ofMaps.counts() == [3]int{count, count, 2} })
	until(ctx, "the fleets' events", func() bool { return ofFleets.counts() == [3]int{count / 2, 1, 1} })
	listed, err := typed.Lister().List(labels.Everything())
	check(err, "the lister")
	sum := 0
	for _, object := range listed {
		n, err := strconv.Atoi(object.Data["n"])
		check(err, object.Name)
		sum += n
	}
	found["maps"], found["mapsSeen"], found["sum"] = len(listed), ofMaps.counts(), sum
	found["fleetsSeen"] = ofFleets.counts()
	found["wrong"] = append(append([]string{}, ofMaps.wrong...), ofFleets.wrong...)
}

// elect lets two run for one lease; the second must wait until the first has given it back.
func (w *world) elect(ctx context.Context, found map[string]any) {
	var (
		mutex   sync.Mutex
		history []string
		leading int
		most    int
	)
	tell := func(change int, text string) {
		mutex.Lock()
		defer mutex.Unlock()
		leading += change
		most = max(most, leading)
		history = append(history, text)
	}
	run := func(ctx context.Context, name string) {
		lock := &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: "crown", Namespace: w.namespace},
			Client:     w.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		}
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, ReleaseOnCancel: true, Name: name,
			LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 200 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { tell(1, name+" leads") },
				OnStoppedLeading: func() { tell(-1, name+" ends") },
			},
		})
	}
	has := func(text string) func() bool {
		return func() bool {
			mutex.Lock()
			defer mutex.Unlock()
			return strings.Contains(strings.Join(history, ","), text)
		}
	}
	firstCtx, firstStop := context.WithCancel(ctx)
	secondCtx, secondStop := context.WithCancel(ctx)
	var both sync.WaitGroup
	both.Go(func() { run(firstCtx, "ann") })
	until(ctx, "a first leader", has("ann leads"))
	both.Go(func() { run(secondCtx, "bob") })
	lease := func() *string {
		held, err := w.client.CoordinationV1().Leases(w.namespace).Get(ctx, "crown", metav1.GetOptions{})
		check(err, "the lease")
		return held.Spec.HolderIdentity
	}
	if holder := lease(); holder == nil || *holder != "ann" {
		log.Fatalf("the lease is held by %v", holder)
	}
	firstStop()
	until(ctx, "a second leader", has("bob leads"))
	held, err := w.client.CoordinationV1().Leases(w.namespace).Get(ctx, "crown", metav1.GetOptions{})
	check(err, "the lease")
	found["transitions"] = *held.Spec.LeaseTransitions
	secondStop()
	both.Wait()
	mutex.Lock()
	defer mutex.Unlock()
	found["leaders"], found["atOnce"] = history, most
}

// record has both recorders of client-go tell of one object, the same thing several times.
func (w *world) record(ctx context.Context, found map[string]any) {
	about, err := w.client.CoreV1().ConfigMaps(w.namespace).Get(ctx, "map-2", metav1.GetOptions{})
	check(err, "get")
	old := record.NewBroadcaster()
	old.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: w.client.CoreV1().Events("")})
	recorder := old.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "old"})
	for range 3 {
		recorder.Event(about, corev1.EventTypeWarning, "Leaks", "water comes in")
	}
	newer := events.NewBroadcaster(&events.EventSinkImpl{Interface: w.client.EventsV1()})
	stop := make(chan struct{})
	defer close(stop)
	newer.StartRecordingToSink(stop)
	newer.NewRecorder(scheme.Scheme, "newer").Eventf(about, nil, corev1.EventTypeNormal, "Sailed", "Sailing", "to the %s", "north")

	var told []string
	until(ctx, "the events", func() bool {
		told = nil
		listed, err := w.client.CoreV1().Events(w.namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(about.UID)})
		check(err, "the events")
		for _, event := range listed.Items {
			told = append(told, fmt.Sprintf("%s %s %s x%d", event.Type, event.Reason, event.Message, max(event.Count, 1)))
		}
		text := strings.Join(told, "\n")
		return strings.Contains(text, "Leaks water comes in x3") && strings.Contains(text, "Sailed to the north")
	})
	old.Shutdown()
	found["events"] = len(told)
}

// write applies by server-side apply from a typed configuration, and reads a list in pages.
func (w *world) write(ctx context.Context, found map[string]any) {
	maps := w.client.CoreV1().ConfigMaps(w.namespace)
	wanted := applycorev1.ConfigMap("applied", w.namespace).WithLabels(map[string]string{"by": "apply"}).WithData(map[string]string{"a": "1", "b": "2"})
	_, err := maps.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: "informers"})
	check(err, "apply")
	wanted = applycorev1.ConfigMap("applied", w.namespace).WithData(map[string]string{"a": "3"})
	applied, err := maps.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: "informers"})
	check(err, "apply again")
	found["applied"] = map[string]any{"data": applied.Data, "labels": len(applied.Labels)}
	_, err = maps.Apply(ctx, applycorev1.ConfigMap("applied", w.namespace).WithData(map[string]string{"a": "4"}), metav1.ApplyOptions{FieldManager: "other"})
	if err == nil {
		log.Fatal("a conflict was not told")
	}
	found["conflict"] = err.Error()

	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return maps.List(ctx, options)
	})
	pages.PageSize = 7
	names := map[string]bool{}
	err = pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: "set"}, func(object runtime.Object) error {
		names[object.(*corev1.ConfigMap).Name] = true
		return nil
	})
	check(err, "pages")
	found["paged"] = len(names)
}
