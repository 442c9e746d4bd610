#!/bin/sh
# Starts thaw with the Node it was built for, whatever the machine has.
path=$0
[ -h "$path" ] && path=$(readlink -f -- "$path")
case $path in
  */*) here=${path%/*} ;;
  *) here=. ;;
esac

# As a checkout's or a package's own dependency, or one that was installed next to the package.
for modules in "$here/../node_modules" "$here/../.."; do
  node=$modules/node-linux-@ARCH@/bin/node
  [ -x "$node" ] && break
  node=
done
if [ -z "$node" ] && ! node=$(command -v node); then
  echo "thaw: no Node: run npm ci where thaw is installed, or put Node 22 or newer into PATH" >&2
  exit 1
fi

# Node raises its own limit of open files; programs shall start with the one that was set.
THAW_SOFT_FILE_LIMIT=$(ulimit -Sn)
THAW_CALLED_AS=${0##*/}
export THAW_SOFT_FILE_LIMIT THAW_CALLED_AS
# Options that are meant for the programs of an image must not change or break the agent.
unset NODE_OPTIONS
[ -n "${THAW_NODE_OPTIONS-}" ] && export NODE_OPTIONS="$THAW_NODE_OPTIONS"
# Without the option the young heap grows to 32 MiB with the first busy second and never shrinks.
exec "$node" --max-semi-space-size=4 "$here/start.cjs" "$@"
