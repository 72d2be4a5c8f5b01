// Holds rendered custom resources to their CRDs' schemas: custom-resources.mjs FILE...
// `check` runs a copy of it beside the modules that `install` brings below target/.
import { readFileSync } from "fs";
import { loadAll } from "js-yaml";

const packages = {
  "cert-manager.io": "cert-manager",
  "external-secrets.io": "external-secrets",
  "gateway.networking.k8s.io": "gateway-api",
  "monitoring.coreos.com": "prometheus-operator",
  "postgresql.cnpg.io": "cloudnative-pg",
};

let good = 0;
let bad = 0;
for (const file of process.argv.slice(2)) {
  for (const object of loadAll(readFileSync(file, "utf8"))) {
    const [group, version] = (object?.apiVersion ?? "").split("/");
    if (!packages[group]) continue;
    const name = `${object.kind}/${object.metadata.name}`;
    try {
      const module = await import(`@kubernetes-models/${packages[group]}/${group}/${version}/${object.kind}`);
      new (module[object.kind] ?? module.default[object.kind])(object).validate();
      good += 1;
    } catch (error) {
      bad += 1;
      console.log(`${file}: ${name}: ${error.message}`);
    }
  }
}
console.log(`${good} good, ${bad} bad`);
process.exit(bad ? 1 : 0);
