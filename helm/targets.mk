# Targets for images, the chart and clusters; the Makefile includes this file.
# ENGINE builds and runs images (podman or docker); REPOSITORY, VERSION and BASE_IMAGE are theirs.

ENGINE ?= podman
# a name with a host, which every engine and cluster understands alike
REPOSITORY ?= localhost/mura-jobs
VERSION ?= 0.1.0
BASE_IMAGE ?= python:3.11-slim-bookworm
BUILD_FLAGS ?=
RELEASE ?= shoulder
NAMESPACE ?= default
VALUES ?= helm/mura-jobs/ci/minikube-values.yaml
# files with what a cluster needs to be tried on: where its images are, and so on
CLUSTER_VALUES ?=
IMAGE_STAGES := preprocess train-gan synthesize train-cnn
# builds of one commit are alike: all times in an image are the commit's
SOURCE_DATE_EPOCH ?= $(shell git log -1 --pretty=%ct)
DATED = $(if $(findstring podman,$(ENGINE)),--timestamp,--build-arg SOURCE_DATE_EPOCH)=$(SOURCE_DATE_EPOCH)
# an image's identifier is the digest of its configuration, which holds the digests of its layers
IMAGE_IDS = $(ENGINE) image inspect --format '{{.Id}}' $(patsubst %,$(REPOSITORY)/%:$(VERSION),base $(IMAGE_STAGES))
FROM_SCRATCH = $(MAKE) images BUILD_FLAGS='$(BUILD_FLAGS) --no-cache'

# what a target needs, or how to get it
require = @command -v $(1) >/dev/null || { echo "$(1) is missing: $(2)"; exit 1; }
HELM_HINT := install Helm 3.8 or newer (https://helm.sh/docs/intro/install)
KUBECTL_HINT := install kubectl (https://kubernetes.io/docs/tasks/tools) and point it at a cluster
MINIKUBE_HINT := install minikube (https://minikube.sigs.k8s.io/docs/start) and a driver for it, docker say

.PHONY: chart jobs lock images images-reproducible images-lint images-test cluster-test minikube-up minikube-load \
	minikube-run minikube-report minikube-down install status logs report uninstall

chart jobs: $(VENV)/installed ## Write the chart's schema and README and jobs/*.yaml anew
	$(BIN)/python -m helm.generate

lock: $(VENV)/installed ## Resolve the images' packages anew (needs uv)
	$(call require,uv,pip install uv)
	$(BIN)/python images/lock.py

images: ## Build the base image and the four stage images with ENGINE
	$(call require,$(ENGINE),install podman or docker and set ENGINE)
	$(ENGINE) build $(DATED) $(BUILD_FLAGS) --build-arg BASE_IMAGE=$(BASE_IMAGE) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD) --file images/base/Dockerfile --tag $(REPOSITORY)/base:$(VERSION) .
	for stage in $(IMAGE_STAGES); do \
		$(ENGINE) build $(DATED) $(BUILD_FLAGS) --build-arg BASE=$(REPOSITORY)/base:$(VERSION) \
			--tag $(REPOSITORY)/$$stage:$(VERSION) images/$$stage || exit 1; \
	done

images-reproducible: images ## Build the images again from scratch, and fail unless they are the same (podman)
	before=$$($(IMAGE_IDS)) && $(FROM_SCRATCH) && after=$$($(IMAGE_IDS)) && \
	echo "before: "$$before && echo "after:  "$$after && test "$$before" = "$$after"

images-lint: $(VENV)/installed ## Lint the Dockerfiles
	for file in images/*/Dockerfile; do $(BIN)/hadolint --config images/.hadolint.yaml $$file || exit 1; done

images-test: $(VENV)/installed ## Run the whole pipeline container by container against a real S3 server
	$(call require,podman,install podman)
	$(BIN)/python -m tests.images.pipeline $(REPOSITORY)
	$(BIN)/python -m tests.images.stopping $(REPOSITORY)

cluster-test: $(VENV)/installed ## Try the chart on kubectl's cluster: a run, disturbed, denied, refused (CLUSTER_VALUES)
	$(call require,helm,$(HELM_HINT))
	$(call require,kubectl,$(KUBECTL_HINT))
	$(BIN)/python -m tests.cluster.real $(CLUSTER_VALUES)

minikube-up: ## Start a local cluster
	$(call require,minikube,$(MINIKUBE_HINT))
	minikube start --cpus 2 --memory 8g

minikube-load: ## Load the images into the local cluster
	$(call require,minikube,$(MINIKUBE_HINT))
	for stage in $(IMAGE_STAGES); do \
		$(ENGINE) save $(REPOSITORY)/$$stage:$(VERSION) | minikube image load - || exit 1; \
	done

minikube-run: install ## Run the demonstration on the local cluster

minikube-report: report ## Fetch the demonstration's report from the local cluster

minikube-down: ## Delete the local cluster
	$(call require,minikube,$(MINIKUBE_HINT))
	minikube delete

install: ## Install RELEASE with VALUES into NAMESPACE
	$(call require,helm,$(HELM_HINT))
	helm upgrade --install $(RELEASE) helm/mura-jobs --namespace $(NAMESPACE) --create-namespace --values $(VALUES) \
		--set image.repository=$(REPOSITORY),image.tag=$(VERSION)

status: ## Say what RELEASE's Jobs do
	$(call require,kubectl,$(KUBECTL_HINT))
	kubectl get jobs --namespace $(NAMESPACE) --selector mura-jobs/run=$(RELEASE)

logs: ## Follow the logs of RELEASE's pods
	$(call require,kubectl,$(KUBECTL_HINT))
	kubectl logs --namespace $(NAMESPACE) --selector mura-jobs/run=$(RELEASE) --container stage --follow --prefix \
		--max-log-requests 50

report: $(VENV)/installed ## Fetch the report of RELEASE from its development bucket into ./report
	$(call require,kubectl,$(KUBECTL_HINT))
	@kubectl get --namespace $(NAMESPACE) service/$(RELEASE)-bucket >/dev/null || { \
		echo "$(RELEASE) has no development bucket: its report is at runs/$(RELEASE)/report in its own"; exit 1; }
	kubectl port-forward --namespace $(NAMESPACE) service/$(RELEASE)-bucket 18333:8333 & forward=$$!; \
	trap "kill $$forward" EXIT; sleep 3; \
	AWS_ACCESS_KEY_ID=development AWS_SECRET_ACCESS_KEY=development-only \
		$(BIN)/python -m helm.fetch s3://mura-jobs http://127.0.0.1:18333 runs/$(RELEASE)/report report

uninstall: ## Remove RELEASE; what is in its bucket stays, but for a development bucket's
	$(call require,helm,$(HELM_HINT))
	helm uninstall $(RELEASE) --namespace $(NAMESPACE)
