#!/bin/sh
# Plants each fault of this folder into a copy of the sources and runs the sweep: each one must be caught, or the oracles are not
# good enough. Arguments select the faults whose name contains one of them. Prints the flow, the fault and the broken promise that
# caught each. Fails if one survives or no longer applies. `flow:` and `what:` at the head of a patch name where it is caught soonest; the
# whole sweep runs only if it is not caught there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cargo=${CARGO:-cargo}
work=${CARGO_TARGET_DIR:-$root/target}/planted
copy=$work/source

rm -rf "$copy"
mkdir -p "$copy"
# the working tree, without build output
(cd "$root" && tar --exclude=./target --exclude=./.git -cf - .) | (cd "$copy" && tar -xf -)
# a separate target folder: two packages of one name would overwrite each other's tests
export CARGO_TARGET_DIR="$work/built"

# the sweep up to its first violation
sweep() {
    (cd "$copy" && $cargo test --locked --test simulation -- --first "$@") >"$log" 2>&1
}

survived=0
table=$work/table
: >"$table"
for patch in "$here"/*.patch; do
    name=$(basename "$patch" .patch)
    wanted=$(for word in "${@:-}"; do case $name in *"$word"*) echo yes ;; esac; done)
    test -n "$wanted" || continue
    if ! (cd "$copy" && patch -p1 --quiet --force <"$patch"); then
        echo "$name | does not apply | -" >>"$table"
        survived=$((survived + 1))
        continue
    fi
    log=$work/$name.log
    if (cd "$copy" && $cargo test --locked --test simulation --no-run) >"$log" 2>&1; then
        flow=$(sed -n '1,2s/^flow: //p' "$patch")
        what=$(sed -n '1,2s/^what: //p' "$patch")
        if sweep ${flow:+--flow "$flow"} ${what:+--what "$what"} && sweep; then
            echo "$name | SURVIVED | -" >>"$table"
            survived=$((survived + 1))
        else
            where=$(sed -n 's/^VIOLATION in //p' "$log" | head -n 1)
            promise=$(sed -n '/^VIOLATION in /{n;s/^ *//;p;}' "$log" | head -n 1 | cut -c 1-150)
            if [ -z "$promise" ]; then
                where="THE RUN FAILED, see $log"
                survived=$((survived + 1))
            fi
            echo "$name | $where | $promise" >>"$table"
        fi
    else
        echo "$name | DOES NOT BUILD, see $log | -" >>"$table"
        survived=$((survived + 1))
    fi
    (cd "$copy" && patch -p1 --quiet --force --reverse <"$patch")
done

echo "planted fault | caught by | promise"
cat "$table"
echo "$(wc -l <"$table" | tr -d ' ') planted, $survived survived"
test "$survived" -eq 0
