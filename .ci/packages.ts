/** The npm packages that the toolkit loads only when needed; the executable includes them. */
import "npm:@libsql/hrana-client@0.10.0";
import "npm:jsonc-parser@3.3.1";
import "npm:ws@8.23.0";
