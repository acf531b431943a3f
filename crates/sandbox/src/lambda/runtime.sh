#!/bin/bash
# A Lambda runtime in a few lines, with the shell's own sockets: what the tests of the host run.
host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API#*:}
call() { # method path body; sets id and event
  exec 3<>"/dev/tcp/$host/$port"
  printf '%s /2018-06-01/runtime/%s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s' "$1" "$2" "${#3}" "$3" >&3
  while IFS= read -r line <&3; do
    line=${line%$'\r'}
    case $line in lambda-runtime-aws-request-id:*) id=${line#*: } ;; "") break ;; esac
  done
  IFS= read -r event <&3
  exec 3>&-
}
[ -n "$INIT_ERROR" ] && { call POST init/error '{"errorType":"Init","errorMessage":"no"}'; exit 3; }
while call GET invocation/next ""; do
  echo "handling $event" >&2
  case $event in
    *fail*) call POST "invocation/$id/error" '{"errorType":"Refused","errorMessage":"no"}' ;;
    *exit*) exit 7 ;;
    *hang*) sleep 60 ;;
    *) call POST "invocation/$id/response" "{\"home\":\"${HOME:+set}\",\"cargo\":\"$CARGO_MANIFEST_DIR\",\"extra\":\"$EXTRA\"}" ;;
  esac
done
