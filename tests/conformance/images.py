"""Small images in an OCI layout, built without a network, for skopeo to push."""

import gzip
import hashlib
import io
import json
import tarfile

OCI = "application/vnd.oci.image"
# how to push an image or an index: the name in a test, skopeo's format, whether it is an index, the media type in the registry
KINDS = {
    "a Docker manifest": ("v2s2", False, "application/vnd.docker.distribution.manifest.v2+json"),
    "an OCI manifest": ("oci", False, f"{OCI}.manifest.v1+json"),
    "a Docker list": ("v2s2", True, "application/vnd.docker.distribution.manifest.list.v2+json"),
    "an OCI index": ("oci", True, f"{OCI}.index.v1+json"),
}


def layout(folder, text):
    """A layout with an image (tag `image`) and an index of two platforms (tag `index`), different for each text."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content, media_type, **more):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)} | more

    def image(architecture):
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            content = f"{text} {architecture}".encode()
            entry = tarfile.TarInfo("hello")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        layer = tar.getvalue()
        platform = {"architecture": architecture, "os": "linux"}
        root = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": blob(platform | {"config": {}, "rootfs": root}, f"{OCI}.config.v1+json"),
            "layers": [blob(gzip.compress(layer, mtime=0), f"{OCI}.layer.v1.tar+gzip")],
        }
        return blob(manifest, manifest["mediaType"], platform=platform)

    images = [image("amd64"), image("arm64")]
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": images}
    name = "org.opencontainers.image.ref.name"
    entries = [images[0] | {"annotations": {name: "image"}}, blob(index, index["mediaType"]) | {"annotations": {name: "index"}}]
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder
