// A controller as controller-runtime makes them, for the kind Fleet of test.stead.dev: a ConfigMap for every ship, a
// status with conditions, a finalizer, events. Runs against the cluster that KUBECONFIG names until it is told to stop.
//
// usage: controller NAMESPACE
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const finalizer = "test.stead.dev/harbour"

var version = schema.GroupVersion{Group: "test.stead.dev", Version: "v1"}

// Fleet is the kind that is reconciled.
type Fleet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              FleetSpec   `json:"spec,omitempty"`
	Status            FleetStatus `json:"status,omitempty"`
}

// FleetSpec is how many ships there should be.
type FleetSpec struct {
	Replicas int32  `json:"replicas"`
	Place    string `json:"place,omitempty"`
}

// FleetStatus is how many there are.
type FleetStatus struct {
	Replicas   int32              `json:"replicas"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DeepCopyObject makes Fleet a runtime.Object.
func (f *Fleet) DeepCopyObject() runtime.Object {
	copied := *f
	f.ObjectMeta.DeepCopyInto(&copied.ObjectMeta)
	copied.Status.Conditions = nil
	for _, condition := range f.Status.Conditions {
		copied.Status.Conditions = append(copied.Status.Conditions, *condition.DeepCopy())
	}
	return &copied
}

// FleetList is a list of them.
type FleetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Fleet `json:"items"`
}

// DeepCopyObject makes FleetList a runtime.Object.
func (l *FleetList) DeepCopyObject() runtime.Object {
	copied := &FleetList{TypeMeta: l.TypeMeta}
	l.ListMeta.DeepCopyInto(&copied.ListMeta)
	for i := range l.Items {
		copied.Items = append(copied.Items, *l.Items[i].DeepCopyObject().(*Fleet))
	}
	return copied
}

type reconciler struct {
	client.Client
	events events.EventRecorder
}

func ship(fleet string, index int32) string { return fmt.Sprintf("%s-ship-%d", fleet, index) }

// Reconcile makes what is there what it should be.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var fleet Fleet
	if err := r.Get(ctx, request.NamespacedName, &fleet); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !fleet.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.leave(ctx, &fleet)
	}
	if !controllerutil.ContainsFinalizer(&fleet, finalizer) {
		before := client.MergeFromWithOptions(fleet.DeepCopyObject().(client.Object), client.MergeFromWithOptimisticLock{})
		controllerutil.AddFinalizer(&fleet, finalizer)
		return ctrl.Result{}, r.Patch(ctx, &fleet, before)
	}
	for index := range fleet.Spec.Replicas {
		if err := r.build(ctx, &fleet, index); err != nil {
			return ctrl.Result{}, err
		}
	}
	var ships corev1.ConfigMapList
	if err := r.List(ctx, &ships, client.InNamespace(fleet.Namespace), client.MatchingFields{"owner": fleet.Name}); err != nil {
		return ctrl.Result{}, err
	}
	wanted := map[string]bool{}
	for index := range fleet.Spec.Replicas {
		wanted[ship(fleet.Name, index)] = true
	}
	for i := range ships.Items {
		if !wanted[ships.Items[i].Name] {
			if err := r.Delete(ctx, &ships.Items[i]); client.IgnoreNotFound(err) != nil {
				return ctrl.Result{}, err
			}
		}
	}
	return ctrl.Result{}, r.report(ctx, &fleet)
}

// build applies a ship's ConfigMap, which belongs to the fleet.
func (r *reconciler) build(ctx context.Context, fleet *Fleet, index int32) error {
	owner := applymetav1.OwnerReference().WithAPIVersion(version.String()).WithKind("Fleet").WithName(fleet.Name).
		WithUID(fleet.UID).WithController(true).WithBlockOwnerDeletion(true)
	wanted := applycorev1.ConfigMap(ship(fleet.Name, index), fleet.Namespace).
		WithOwnerReferences(owner).WithData(map[string]string{"place": fleet.Spec.Place})
	return r.Apply(ctx, wanted, client.FieldOwner("fleet-controller"), client.ForceOwnership)
}

// report writes the status, if it is another.
func (r *reconciler) report(ctx context.Context, fleet *Fleet) error {
	changed := meta.SetStatusCondition(&fleet.Status.Conditions, metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "Built", Message: fmt.Sprintf("%d ships", fleet.Spec.Replicas),
		ObservedGeneration: fleet.Generation,
	})
	if !changed && fleet.Status.Replicas == fleet.Spec.Replicas {
		return nil
	}
	fleet.Status.Replicas = fleet.Spec.Replicas
	if err := r.Status().Update(ctx, fleet); err != nil {
		return err
	}
	r.events.Eventf(fleet, nil, corev1.EventTypeNormal, "Built", "Building", "%d ships", fleet.Spec.Replicas)
	return nil
}

// leave writes a farewell that outlives the fleet, and lets it go.
func (r *reconciler) leave(ctx context.Context, fleet *Fleet) error {
	if !controllerutil.ContainsFinalizer(fleet, finalizer) {
		return nil
	}
	farewell := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "farewell-" + fleet.Name, Namespace: fleet.Namespace}}
	if _, err := controllerutil.CreateOrUpdate(ctx, r.Client, farewell, func() error {
		farewell.Data = map[string]string{"ships": fmt.Sprint(fleet.Status.Replicas)}
		return nil
	}); err != nil {
		return err
	}
	controllerutil.RemoveFinalizer(fleet, finalizer)
	return client.IgnoreNotFound(r.Update(ctx, fleet))
}

func run(namespace string) error {
	ctrl.SetLogger(zap.New(zap.UseDevMode(true)))
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	scheme.AddKnownTypes(version, &Fleet{}, &FleetList{})
	metav1.AddToGroupVersion(scheme, version)
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	duration, renew, retry := time.Minute, 40*time.Second, 500*time.Millisecond
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Metrics:                       server.Options{BindAddress: "0"},
		LeaderElection:                true,
		LeaderElectionID:              "fleet-controller",
		LeaderElectionNamespace:       namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &duration, RenewDeadline: &renew, RetryPeriod: &retry,
	})
	if err != nil {
		return err
	}
	owner := func(object client.Object) []string {
		controller := metav1.GetControllerOf(object)
		if controller == nil || controller.Kind != "Fleet" {
			return nil
		}
		return []string{controller.Name}
	}
	if err := manager.GetFieldIndexer().IndexField(context.Background(), &corev1.ConfigMap{}, "owner", owner); err != nil {
		return err
	}
	reconciles := &reconciler{Client: manager.GetClient(), events: manager.GetEventRecorder("fleet-controller")}
	if err := ctrl.NewControllerManagedBy(manager).For(&Fleet{}).Owns(&corev1.ConfigMap{}).Complete(reconciles); err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
