#!/usr/bin/env bash
# Lints the template and the example beside it: cfn-lint, `sam validate --lint`, checkov, in virtual environments with pinned
# versions below target. Each accepted finding of checkov has its reason in the template. A reason without a finding fails too.
# The packaged template of a release is linted too, and must mean the same. Then the parameter files of docs/deploying.md, the
# permissions boundary, the ARM template, the module of Terraform, and the workflows and forms in .github (actionlint, zizmor).
# Usage: run.sh <the program release> <folder for the packaged template>
# `run.sh --setup` installs the tools and lints nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
template=infra/aws/template.yaml

# prints the folder of a virtual environment with these requirements, and creates it if necessary
environment() {
    local requirements="infra/lint/$1.txt" folder
    folder="${HUBKEEPER_VENVS:-target/venvs}/$1-$(sha256sum "$requirements" | cut -c1-12)"
    if [ ! -e "$folder/complete" ]; then
        echo "lint-infra: installing $1 into $folder" >&2
        rm -rf "$folder"
        python3 -m venv "$folder"
        "$folder/bin/pip" install --quiet --require-virtualenv -r "$requirements"
        touch "$folder/complete"
    fi
    echo "$folder"
}

cloudformation="$(environment cloudformation)"
checkov="$(environment checkov)"
workflows="$(environment workflows)"
azure="$(environment azure)"
[ "${1:-}" != --setup ] || exit 0
export SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION="${AWS_DEFAULT_REGION:-eu-west-1}" NO_COLOR=1

"$cloudformation/bin/cfn-lint" --non-zero-exit-code informational "$template" infra/aws/onboarded-organization.yaml
echo 'cfn-lint: clean'
situations=()
for file in infra/aws/situations/*.json; do
    [ "$file" = infra/aws/situations/tags.json ] || situations+=("$file")
done
"$cloudformation/bin/cfn-lint" --non-zero-exit-code informational "$template" --regions eu-west-1 us-gov-west-1 us-gov-east-1 \
    --parameter-files "${situations[@]}"
"$cloudformation/bin/python" infra/lint/situations.py "$template" infra/aws/situations docs/deploying.md infra/aws/permissions-boundary.json
"$cloudformation/bin/sam" validate --lint --template-file "$template"

packaged="$2/lint/packaged.template.json"
"$1" template "$packaged"
"$cloudformation/bin/cfn-lint" --non-zero-exit-code informational "$packaged"
"$cloudformation/bin/sam" validate --lint --template-file "$packaged"
"$cloudformation/bin/python" infra/lint/packaged.py "$template" "$packaged"

# hides checkov's complaints about the missing network; its findings are in the output file
scan() { "$checkov/bin/checkov" --framework cloudformation --skip-download --quiet --compact --file "$1" --output json 2>/dev/null || true; }
bare="$(mktemp -d)"
trap 'rm -rf "$bare"' EXIT
sed 's/^\( *\)skip:$/\1left:/' "$template" > "$bare/template.yaml"
scan "$template" > "$bare/with.json"
scan "$bare/template.yaml" > "$bare/without.json"
python3 infra/lint/explained.py "$template" "$bare/with.json" "$bare/without.json"

# without shellcheck, whose version depends on the machine; zizmor must not ask GitHub
"$workflows/bin/actionlint" -shellcheck= -pyflakes=
echo 'actionlint: clean'
"$workflows/bin/zizmor" --offline --quiet --no-progress --strict-collection --collect=all --persona=pedantic .github
echo 'zizmor: clean'
PYTHONDONTWRITEBYTECODE=1 "$workflows/bin/python" infra/lint/test_workflows.py
"$azure/bin/python" infra/lint/arm.py infra/azure/azuredeploy.json
"$checkov/bin/python" infra/lint/terraform.py infra/terraform "$template" infra/azure/azuredeploy.json docs/terraform.md
"$checkov/bin/checkov" --framework terraform --skip-download --quiet --compact --directory infra/terraform 2>/dev/null
# an update keeps every resource; and the check notices one that it would replace, and one that it would remove
replaced() { "$cloudformation/bin/python" -B infra/lint/replaced.py tests/e2e/data/template-7b65c54.yaml "$1"; }
sed 's/^      RoleName: .*/      RoleName: another/; s/^  WorkQueue:/  OtherQueue:/' "$template" > "$bare/template.yaml"
replaced "$template"
noticed="$(replaced "$bare/template.yaml" || true)"
for expected in 'FunctionRole: the update replaces it, since RoleName changes' 'WorkQueue: the update removes it'; do
    if ! grep -qF "$expected" <<<"$noticed"; then
        echo "replaced.py does not notice: $expected" >&2
        exit 1
    fi
done
