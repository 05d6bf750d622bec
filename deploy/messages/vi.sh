# shellcheck shell=bash
# Lời của deploy/up.
say_installing() { echo "Cài các gói: $1" >&2; }
say_need_root() { printf 'Thiếu gói. Chạy lệnh sau ở một cửa sổ khác, rồi chờ:\n  %s\n' "$1" >&2; }
say_fetching() { echo "Tải $1" >&2; }
say_failed() { echo "Chưa tải được; xem $1" >&2; }
say_checksum() { echo "$1 trong $2 sai mã kiểm tra; xóa thư mục đó rồi chạy lại" >&2; }
say_no_cargo() { echo "Thiếu cargo; cài Rust 1.95 (rustup) rồi chạy lại" >&2; }
say_building() { echo "Biên dịch (lần đầu mất vài phút)" >&2; }
say_not_built() { echo "Chưa có chương trình trong $1; chạy lại không có --no-build" >&2; }
say_up() {
  printf 'Vọng Gác đang chạy, dữ liệu ở %s. Thử tiếp:\n' "$1"
  printf '  %s/vonggac --data %s\n  %s/vonggac --data %s health\n  deploy/status --data %s\n\n' "$2" "$1" "$2" "$1" "$1"
}
