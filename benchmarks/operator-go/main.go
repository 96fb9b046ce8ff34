// The peer of benchmarks/operator.md: a minimal controller-runtime operator that makes of a TelemetryConsumer the same
// Deployment as ours, and nothing else: no status, no events, no Kafka, only what a TelemetryConsumer can hold that
// names a built-in handler.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	group      = "telemetry.iot-hub.io"
	kind       = "TelemetryConsumer"
	workerPort = 8081
	configHash = group + "/config-hash"
)

var version = schema.GroupVersion{Group: group, Version: "v1alpha1"}

// Spec is what the CRD's defaults have filled in.
type Spec struct {
	Topics  []string `json:"topics"`
	GroupID string   `json:"groupId,omitempty"`
	Handler struct {
		Name string `json:"name"`
	} `json:"handler"`
	Replicas int32 `json:"replicas"`
	Batch    struct {
		Enabled        bool        `json:"enabled"`
		MaxSize        int         `json:"maxSize"`
		TimeoutSeconds json.Number `json:"timeoutSeconds"`
	} `json:"batch"`
	DecodeJSON         bool   `json:"decodeJson"`
	Commit             string `json:"commit"`
	Delivery           string `json:"delivery"`
	HandleLimitSeconds int    `json:"handleLimitSeconds"`
	StartFrom          string `json:"startFrom"`
	MaxAttempts        int    `json:"maxAttempts"`
	DeadLetter         struct {
		Topic string `json:"topic"`
	} `json:"deadLetter"`
	Resources corev1.ResourceRequirements `json:"resources"`
}

// TelemetryConsumer has no status here: nobody writes one.
type TelemetryConsumer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              Spec `json:"spec"`
}

// DeepCopyObject copies what a reader of the cache may change.
func (c *TelemetryConsumer) DeepCopyObject() runtime.Object {
	copied := &TelemetryConsumer{TypeMeta: c.TypeMeta, Spec: c.Spec}
	c.ObjectMeta.DeepCopyInto(&copied.ObjectMeta)
	copied.Spec.Topics = append([]string(nil), c.Spec.Topics...)
	c.Spec.Resources.DeepCopyInto(&copied.Spec.Resources)
	return copied
}

// TelemetryConsumerList is a list of them.
type TelemetryConsumerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TelemetryConsumer `json:"items"`
}

// DeepCopyObject copies the list.
func (l *TelemetryConsumerList) DeepCopyObject() runtime.Object {
	copied := &TelemetryConsumerList{TypeMeta: l.TypeMeta}
	l.ListMeta.DeepCopyInto(&copied.ListMeta)
	for i := range l.Items {
		copied.Items = append(copied.Items, *l.Items[i].DeepCopyObject().(*TelemetryConsumer))
	}
	return copied
}

type reconciler struct {
	client.Client
	image, kafka string
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var consumer TelemetryConsumer
	if err := r.Get(ctx, request.NamespacedName, &consumer); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	wanted, err := r.build(&consumer)
	if err != nil {
		return ctrl.Result{}, err
	}
	var found appsv1.Deployment
	switch err := r.Get(ctx, request.NamespacedName, &found); {
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, r.Create(ctx, wanted)
	case err != nil:
		return ctrl.Result{}, err
	}
	if found.Spec.Template.Annotations[configHash] == wanted.Spec.Template.Annotations[configHash] &&
		*found.Spec.Replicas == *wanted.Spec.Replicas {
		return ctrl.Result{}, nil
	}
	wanted.ResourceVersion = found.ResourceVersion
	return ctrl.Result{}, r.Update(ctx, wanted)
}

func (r *reconciler) build(consumer *TelemetryConsumer) (*appsv1.Deployment, error) {
	spec, selector := &consumer.Spec, map[string]string{
		"app.kubernetes.io/name": "telemetry-consumer",
		group + "/consumer":      consumer.Name,
	}
	labels := map[string]string{
		"app.kubernetes.io/instance":   consumer.Name,
		"app.kubernetes.io/component":  "consumer",
		"app.kubernetes.io/part-of":    "iot-hub",
		"app.kubernetes.io/managed-by": "telemetry-operator",
	}
	for name, value := range selector {
		labels[name] = value
	}
	worker := r.buildContainer("worker", nil, consumer)
	worker.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: workerPort, Protocol: corev1.ProtocolTCP}}
	worker.StartupProbe = probe("/healthz", 1, 60)
	worker.ReadinessProbe = probe("/readyz", 3, 2)
	worker.LivenessProbe = probe("/healthz", 10, 3)
	one, none := intstr.FromInt32(1), intstr.FromInt32(0)
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  pointer(false),
			EnableServiceLinks:            pointer(false),
			TerminationGracePeriodSeconds: pointer(int64(60)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   pointer(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			InitContainers: []corev1.Container{r.buildContainer("preflight", []string{"--preflight"}, consumer)},
			Containers:     []corev1.Container{worker},
			Volumes: []corev1.Volume{
				{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			},
		},
	}
	written, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(written)
	template.Annotations = map[string]string{configHash: hex.EncodeToString(sum[:8])}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: consumer.Name, Namespace: consumer.Namespace, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas:                &spec.Replicas,
			RevisionHistoryLimit:    pointer(int32(3)),
			ProgressDeadlineSeconds: pointer(int32(600)),
			Selector:                &metav1.LabelSelector{MatchLabels: selector},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &one, MaxUnavailable: &none},
			},
			Template: template,
		},
	}
	return deployment, ctrl.SetControllerReference(consumer, deployment, r.Scheme())
}

func (r *reconciler) buildContainer(name string, arguments []string, consumer *TelemetryConsumer) corev1.Container {
	spec, id := &consumer.Spec, consumer.Spec.GroupID
	if id == "" {
		id = consumer.Namespace + "." + consumer.Name
	}
	variables := []corev1.EnvVar{
		{Name: "KAFKA_BOOTSTRAP_SERVERS", Value: r.kafka},
		{Name: "LOG_LEVEL", Value: "INFO"},
		{Name: "LOG_FORMAT", Value: "json"},
		{Name: "HTTP_PORT", Value: strconv.Itoa(workerPort)},
		{Name: "KAFKA_GROUP_ID", Value: id},
		{Name: "CONSUMER_TOPICS", Value: strings.Join(spec.Topics, ",")},
		{Name: "CONSUMER_HANDLER", Value: spec.Handler.Name},
		{Name: "CONSUMER_BATCH", Value: strconv.FormatBool(spec.Batch.Enabled)},
		{Name: "CONSUMER_BATCH_MAX_SIZE", Value: strconv.Itoa(spec.Batch.MaxSize)},
		{Name: "CONSUMER_TIMEOUT_SECONDS", Value: spec.Batch.TimeoutSeconds.String()},
		{Name: "CONSUMER_DECODE_JSON", Value: strconv.FormatBool(spec.DecodeJSON)},
		{Name: "CONSUMER_COMMIT", Value: spec.Commit},
		{Name: "CONSUMER_DELIVERY", Value: spec.Delivery},
		{Name: "CONSUMER_HANDLE_LIMIT_SECONDS", Value: strconv.Itoa(spec.HandleLimitSeconds)},
		{Name: "CONSUMER_START_FROM", Value: spec.StartFrom},
		{Name: "CONSUMER_DLQ_TOPIC", Value: spec.DeadLetter.Topic},
		{Name: "CONSUMER_MAX_ATTEMPTS", Value: strconv.Itoa(spec.MaxAttempts)},
		{Name: "KAFKA_CLIENT_ID", ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"},
		}},
	}
	return corev1.Container{
		Name:            name,
		Image:           r.image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         append([]string{"python", "-m", "consumers"}, arguments...),
		Env:             variables,
		Resources:       spec.Resources,
		VolumeMounts:    []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: pointer(false),
			ReadOnlyRootFilesystem:   pointer(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(workerPort), Scheme: corev1.URISchemeHTTP},
		},
		TimeoutSeconds: 5, PeriodSeconds: period, FailureThreshold: failures,
	}
}

func pointer[T any](value T) *T { return &value }

func run() error {
	namespace := flag.String("namespace", "", "namespace that is served")
	image := flag.String("image", "", "image of the workers")
	kafka := flag.String("kafka", "", "Kafka of the workers")
	probes := flag.String("probes", "", "address of /healthz and /readyz")
	workers := flag.Int("workers", 8, "reconciles at the same time")
	flag.Parse()
	ctrl.SetLogger(zap.New())

	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	scheme.AddKnownTypes(version, &TelemetryConsumer{}, &TelemetryConsumerList{})
	metav1.AddToGroupVersion(scheme, version)
	config := ctrl.GetConfigOrDie()
	// No limit of the client's own: the API server alone says how fast it may be.
	config.QPS = -1
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		Cache:                  cache.Options{DefaultNamespaces: map[string]cache.Config{*namespace: {}}},
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: *probes,
	})
	if err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(manager).
		For(&TelemetryConsumer{}).
		Owns(&appsv1.Deployment{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: *workers}).
		Complete(&reconciler{manager.GetClient(), *image, *kafka})
	if err != nil {
		return err
	}
	err = manager.AddReadyzCheck("caches", func(request *http.Request) error {
		context, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()
		if !manager.GetCache().WaitForCacheSync(context) {
			return errors.New("the first lists are not there yet")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
