#!/bin/sh
# take-redis.sh FOLDER: copies this image's redis-server into FOLDER with the loader and all libraries that it uses, and a
# launcher, FOLDER/bin/redis-server. So it runs in an image with another libc or none of those libraries: Node's image has
# no OpenSSL, and Redis's may be Alpine's. FOLDER must have the same path where it runs.
set -eu
folder=$1
program=$(command -v redis-server || command -v valkey-server)
mkdir -p "$folder/bin" "$folder/lib"
cp -L "$program" "$folder/redis-server"

command -v ldd >/dev/null || {
  echo "there is no ldd in this image, so nobody can say which libraries its redis-server needs" >&2
  exit 1
}
# Of a program without libraries ldd says so and fails.
libraries=$(ldd "$program") || libraries=
start=
for word in $libraries; do
  case $word in
  /*) cp -L "$word" "$folder/lib/" ;;
  esac
  case $word in
  */ld-*) start="$folder/lib/${word##*/} --library-path $folder/lib " ;;
  esac
done

printf '#!/bin/sh\nexec %s"$@"\n' "$start$folder/redis-server " >"$folder/bin/redis-server"
chmod 755 "$folder/redis-server" "$folder/bin/redis-server"
# A launcher that does not start must not get into an image.
"$folder/bin/redis-server" --version
