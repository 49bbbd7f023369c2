# docker buildx bake --file images/docker-bake.hcl        (from the repository's root)

variable "REPOSITORY" { default = "mura-jobs" }
variable "VERSION" { default = "0.1.0" }
variable "REVISION" { default = "unknown" }
variable "BASE_IMAGE" { default = "python:3.11-slim-bookworm" }
variable "TORCH_LOCK" { default = "torch-cuda.lock" }
variable "TORCH_INDEX" { default = "" }
# the time of the last commit makes builds of one commit alike: SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct)
variable "SOURCE_DATE_EPOCH" { default = "0" }
# a folder for OCI archives, in place of pushing to REPOSITORY; Docker's own builder can't rewrite times of what it pushes
variable "ARCHIVES" { default = "" }

group "default" {
  targets = ["stages"]
}

target "base" {
  context    = "."
  dockerfile = "images/base/Dockerfile"
  args = {
    BASE_IMAGE        = BASE_IMAGE
    TORCH_LOCK        = TORCH_LOCK
    TORCH_INDEX       = TORCH_INDEX
    VERSION           = VERSION
    REVISION          = REVISION
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH
  }
  platforms = ["linux/amd64"]
}

target "stages" {
  name       = stage
  matrix     = { stage = ["preprocess", "train-gan", "synthesize", "train-cnn"] }
  context    = "images/${stage}"
  contexts   = { "mura-jobs/base" = "target:base" }
  args       = { SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH }
  platforms  = ["linux/amd64"]
  tags       = ["${REPOSITORY}/${stage}:${VERSION}"]
  attest     = ["type=provenance,mode=max", "type=sbom"]
  output = [
    ARCHIVES == "" ? "type=registry,rewrite-timestamp=true" : "type=oci,rewrite-timestamp=true,dest=${ARCHIVES}/${stage}.tar"
  ]
}
