#!/bin/sh
# take-program.sh FOLDER NAME [OTHER-NAME]: copies this image's program NAME into FOLDER with the loader and all libraries
# that it uses, and a launcher, FOLDER/bin/NAME. So it runs in an image with another libc or none of those libraries: Node's
# image has no OpenSSL, and Redis's may be Alpine's. FOLDER must have the same path where it runs.
set -eu
folder=$1
name=$2
program=$(command -v "$name" || command -v "${3:-$name}")
mkdir -p "$folder/bin" "$folder/lib"
cp -L "$program" "$folder/$name"

command -v ldd >/dev/null || {
  echo "there is no ldd in this image, so nobody can say which libraries its $name needs" >&2
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

printf '#!/bin/sh\nexec %s"$@"\n' "$start$folder/$name " >"$folder/bin/$name"
chmod 755 "$folder/$name" "$folder/bin/$name"
# A launcher that does not start must not get into an image.
"$folder/bin/$name" --version
