"""Tests of generate.py on small made-up documents: `python3 -m unittest discover catalog`."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import generate

LOCATION_REGEX = "^projects/[^/]+/locations/[^/]+/operations/[^/]+$"
LOCATION_PATTERN = "projects/*/locations/*/operations/*"
OPERATION = ["name", "metadata", "done", "error", "response"]
OWN_OPERATION = ["name", "status", "operationType", "error"]


def getter(method_id, path="v1/{+name}", regex=LOCATION_REGEX, schema="Operation", scopes=()):
    return {
        "id": method_id,
        "httpMethod": "GET",
        "path": path,
        "parameters": {"name": {"pattern": regex}} if regex else {},
        "response": {"$ref": schema},
        "scopes": list(scopes),
    }


def document(*getters, name="acme", version="v1", host=None, fields=OPERATION, **more):
    return {
        "kind": "discovery#restDescription",
        "id": f"{name}:{version}",
        "name": name,
        "version": version,
        "title": "Acme API",
        "rootUrl": f"https://{host or name + '.googleapis.com'}/",
        "servicePath": "",
        "schemas": {
            each["response"]["$ref"]: {"properties": dict.fromkeys(fields)} for each in getters
        },
        "resources": {"operations": {"methods": {str(n): each for n, each in enumerate(getters)}}},
        **more,
    }


def supplement(*lines):
    header = "\t".join([*generate.COLUMNS, "source"])
    return "".join(f"{line}\n" for line in [header, *lines])


def supplemented(version="v2", stage="GA", source="https://example.com/"):
    cells = ["acme.googleapis.com", "acme.googleapis.com", version, stage, "Acme API"]
    cells += [version + "/{name}", LOCATION_PATTERN, "", "", source]
    return "\t".join(cells)


class Patterns(unittest.TestCase):
    def test_regexes_become_resource_patterns(self):
        for regex, pattern in {
            LOCATION_REGEX: LOCATION_PATTERN,
            "^operations/[^/]+$": "operations/*",
            "^operations/.*$": "operations/**",
            "^[^/]+/[^/]+/operations/[^/]+/.*$": "*/*/operations/*/**",
            "^a_b/[^/]+/c-d/[^/]+/operations/[^/]+$": "a_b/*/c-d/*/operations/*",
            "^.*$": "**",
        }.items():
            with self.subTest(regex):
                self.assertEqual(generate.resource_pattern(regex), pattern)

    def test_any_other_regex_is_named(self):
        for regex in [
            "",
            "operations/[^/]+",
            "^operations/[0-9]+$",
            "^.*/operations/[^/]+$",
            "^operations//[^/]+$",
            "^(projects|folders)/[^/]+/operations/[^/]+$",
        ]:
            with self.subTest(regex), self.assertRaises(generate.CatalogueError) as caught:
                generate.resource_pattern(regex)
            self.assertEqual(
                str(caught.exception), f"the regex {regex!r} does not convert to a resource pattern"
            )


class Versions(unittest.TestCase):
    def test_stages(self):
        for version, stage in {
            "v1": "GA",
            "v2alpha": "alpha",
            "v1alpha2": "alpha",
            "v1beta": "beta",
            "v1beta3": "beta",
            "v1p1beta1": "beta",
        }.items():
            with self.subTest(version):
                self.assertEqual(generate.stage_of(version), stage)

    def test_the_best_comes_first(self):
        best_first = ["v10", "v2", "v1", "v2beta1", "v1p2beta1", "v1p1beta1"]
        best_first += ["v1beta", "v1beta10", "v1beta2", "v2alpha", "v1alpha"]
        self.assertEqual(sorted(reversed(best_first), key=generate.version_rank), best_first)

    def test_any_other_version_is_named(self):
        with self.assertRaises(generate.CatalogueError) as caught:
            generate.stage_of("directory_v1")
        self.assertEqual(
            str(caught.exception), "the version 'directory_v1' is not of AIP-185's form"
        )


class Examples(unittest.TestCase):
    def check(self, described, name, url):
        ((_, _, made_up, made_url),) = generate.published_examples(described)
        self.assertEqual((made_up, made_url), (name, url))

    def test_the_name_goes_where_the_document_says(self):
        host = "https://acme.googleapis.com"
        name = "projects/made-1/locations/made-3/operations/made-5"
        described = document(getter("acme.operations.get", "dns/v1/{+name}"))
        self.check(described, name, f"{host}/dns/v1/{name}")
        bare_id = document(getter("acme.operations.get", "v1/operations/{+name}", "^.*$"))
        self.check(bare_id, "operations/made-0/made-1/made-2", f"{host}/v1/operations/made-0/made-1/made-2")
        parts = document(getter("acme.operations.get", "v1/apps/{appsId}/operations/{operationsId}", None))
        self.check(parts, "apps/made-1/operations/made-1", f"{host}/v1/apps/made-1/operations/made-1")

    def test_of_two_spellings_the_one_that_is_used_gives_the_example(self):
        described = document(
            getter("acme.operations.projects.locations.operations.get", "v1/operations/{+name}"),
            getter("acme.projects.locations.operations.get"),
        )
        name = "projects/made-1/locations/made-3/operations/made-5"
        self.check(described, name, f"https://acme.googleapis.com/v1/{name}")

    def test_a_location_with_a_host_of_its_own_is_asked_there(self):
        name = generate.made_up(LOCATION_PATTERN, ("eu",))
        self.assertEqual(name, "projects/made-1/locations/eu/operations/made-5")
        self.assertEqual(generate.located("acme.googleapis.com", name, ("eu",)), "eu-acme.googleapis.com")
        self.assertEqual(generate.located("acme.googleapis.com", name, ("us",)), "acme.googleapis.com")


class Templates(unittest.TestCase):
    def check(self, described, template, *patterns):
        row = generate.row_of(described)
        self.assertEqual((row.template, row.patterns), (template, patterns))
        return row

    def test_the_full_name_follows_the_version(self):
        self.check(document(getter("acme.operations.get")), "v1/{name}", LOCATION_PATTERN)

    def test_the_version_of_the_path_may_be_another_one(self):
        # cloudresourcemanager v2
        crm = getter("acme.operations.get", regex="^operations/.*$")
        row = self.check(document(crm, version="v2"), "v1/{name}", "operations/**")
        self.assertEqual(row.version, "v2")

    def test_segments_before_the_name_stay(self):
        # dns, pubsublite
        for prefix in ["dns/v1/", "v1/admin/"]:
            with self.subTest(prefix):
                described = document(getter("acme.operations.get", prefix + "{+name}"))
                self.check(described, prefix + "{name}", LOCATION_PATTERN)

    def test_a_bare_id_gets_its_collection(self):
        # speech v1
        speech = getter("acme.operations.get", "v1/operations/{+name}", "^.*$")
        self.check(document(speech), "v1/{name}", "operations/**")

    def test_of_two_spellings_the_full_name_is_taken(self):
        # videointelligence v1
        described = document(
            getter("acme.operations.projects.locations.operations.get", "v1/operations/{+name}"),
            getter("acme.projects.locations.operations.get"),
        )
        self.check(described, "v1/{name}", LOCATION_PATTERN)

    def test_templates_that_take_different_names_are_refused(self):
        described = document(
            getter("acme.operations.get", regex="^operations/[^/]+$"),
            getter("acme.projects.locations.operations.get", "v1/admin/{+name}"),
        )
        with self.assertRaises(generate.CatalogueError) as caught:
            generate.row_of(described)
        self.assertEqual(
            str(caught.exception), "acme:v1 needs several templates: v1/admin/{name}, v1/{name}"
        )

    def test_a_service_path_is_part_of_the_template(self):
        drive = getter("drive.operations.get", "operations/{name}", regex=None)
        described = document(
            drive, name="drive", version="v3", host="www.googleapis.com", servicePath="drive/v3/"
        )
        row = self.check(described, "drive/v3/operations/{id}", "operations/*")
        self.assertEqual((row.service, row.host), ("drive.googleapis.com", "www.googleapis.com"))

    def test_a_name_in_parts_is_put_together(self):
        # appengine v1beta
        location = "v1/projects/{projectsId}/locations/{locationsId}/operations/{operationsId}"
        described = document(
            getter("acme.apps.operations.get", "v1/apps/{appsId}/operations/{operationsId}", None),
            getter("acme.projects.locations.operations.get", location, None),
        )
        self.check(described, "v1/{name}", "apps/*/operations/*", LOCATION_PATTERN)

    def test_a_bucket_is_spelled_differently_in_names(self):
        path = "b/{bucket}/operations/{operationId}"
        storage = getter("storage.buckets.operations.get", path, None)
        self.check(
            document(storage, name="storage", servicePath="storage/v1/"),
            "storage/v1/b/{bucket}/operations/{operation}",
            "projects/_/buckets/*/operations/*",
        )

    def test_any_other_path_is_named(self):
        for path in ["projects/{project}/operations/{operation}", "v1/{+parent}/operations/{id}"]:
            with self.subTest(path), self.assertRaises(generate.CatalogueError) as caught:
                generate.row_of(document(getter("acme.operations.get", path, None)))
            self.assertEqual(
                str(caught.exception), f"the path {path!r} of acme.operations.get v1 has an unknown form"
            )


class Methods(unittest.TestCase):
    def test_any_depth_and_any_schema_name(self):
        method = getter("acme.a.b.operations.get", schema="GoogleLongrunningOperation")
        described = document(method)
        described["resources"] = {"a": {"resources": {"b": {"resources": described["resources"]}}}}
        self.assertEqual(generate.row_of(described).patterns, (LOCATION_PATTERN,))

    def test_fields_beside_the_operation_s_do_no_harm(self):
        described = document(getter("acme.operations.get"), fields=[*OPERATION, "kind", "selfLink"])
        self.assertIsNotNone(generate.row_of(described))

    def test_patterns_and_scopes_are_united_and_sorted(self):
        row = generate.row_of(
            document(
                getter("acme.projects.operations.get", regex=LOCATION_REGEX, scopes=["b", "a"]),
                getter("acme.operations.get", regex="^operations/.*$", scopes=["c", "a"]),
                getter("acme.items.operations.get", regex=LOCATION_REGEX),
            )
        )
        self.assertEqual(row.patterns, ("operations/**", LOCATION_PATTERN))
        self.assertEqual(row.scopes, ("a", "b", "c"))

    def test_other_methods_are_not_taken(self):
        delete = {**getter("acme.operations.get"), "httpMethod": "DELETE"}
        for method in [delete, getter("acme.operations.list"), getter("acme.transferOperations.get")]:
            with self.subTest(method["id"]):
                self.assertIsNone(generate.row_of(document(method)))


class OwnTypes(unittest.TestCase):
    def test_an_own_type_is_listed_and_not_taken(self):
        path = "projects/{project}/zones/{zone}/operations/{operation}"
        for method in [
            getter("acme.operations.get"),
            getter("acme.zoneOperations.get", path, regex=None),
        ]:
            with self.subTest(method["id"]):
                described = document(method, fields=OWN_OPERATION)
                self.assertIsNone(generate.row_of(described))
                self.assertEqual(
                    generate.own_types([described]),
                    [("acme.googleapis.com", "Acme API", method["id"])],
                )

    def test_versions_are_listed_once(self):
        described = [
            document(getter("acme.operations.get"), version=version, fields=OWN_OPERATION)
            for version in ["v1", "v1beta1"]
        ]
        self.assertEqual(len(generate.own_types(described)), 1)

    def test_names_that_do_not_look_like_an_operation_s_are_not_listed(self):
        regex = "^projects/[^/]+/unitOperations/[^/]+$"
        unit = getter("acme.projects.unitOperations.get", regex=regex)
        self.assertEqual(generate.own_types([document(unit, fields=OWN_OPERATION)]), [])

    def test_operations_are_not_listed(self):
        self.assertEqual(generate.own_types([document(getter("acme.operations.get"))]), [])


class Services(unittest.TestCase):
    def test_the_host_may_bear_another_name(self):
        described = document(
            getter("translate.operations.get"), name="translate", host="translation.googleapis.com"
        )
        row = generate.row_of(described)
        self.assertEqual(row.service, "translate.googleapis.com")
        self.assertEqual(row.host, "translation.googleapis.com")

    def test_a_host_of_another_name_is_looked_at_first(self):
        with self.assertRaises(generate.CatalogueError) as caught:
            generate.row_of(document(getter("acme.operations.get"), host="corp.googleapis.com"))
        self.assertEqual(
            str(caught.exception),
            "acme:v1 is served from corp.googleapis.com: find its service name, "
            "then add the host to HOSTS_OF_ANOTHER_NAME",
        )

    ENDPOINTS = [
        {"location": "us-west1", "endpointUrl": "https://us-west1-aiplatform.googleapis.com/"},
        {"location": "asia-east1", "endpointUrl": "https://asia-east1-aiplatform.googleapis.com/"},
        {"location": "us", "endpointUrl": "https://aiplatform.us.rep.googleapis.com/"},
    ]

    def test_locations_that_are_part_of_a_host_are_taken(self):
        described = document(
            getter("aiplatform.operations.get"), name="aiplatform", endpoints=self.ENDPOINTS
        )
        self.assertEqual(generate.row_of(described).locations, ("asia-east1", "us-west1"))

    def test_a_locational_service_without_locations_is_named(self):
        with self.assertRaises(generate.CatalogueError) as caught:
            generate.row_of(document(getter("aiplatform.operations.get"), name="aiplatform"))
        self.assertEqual(
            str(caught.exception), "aiplatform:v1 no longer lists the hosts of its locations"
        )

    def test_other_services_have_no_locations(self):
        endpoints = [{"location": "us", "endpointUrl": "https://us-run.googleapis.com/"}]
        described = document(getter("run.operations.get"), name="run", endpoints=endpoints)
        self.assertEqual(generate.row_of(described).locations, ())


class Tables(unittest.TestCase):
    PUBLISHED = document(getter("acme.operations.get", scopes=["a"]))

    def fails(self, documents, supplement_text):
        with self.assertRaises(generate.CatalogueError) as caught:
            generate.tables(documents, supplement_text)
        return str(caught.exception)

    def test_the_supplement_is_merged_without_its_source(self):
        found = generate.tables([self.PUBLISHED], supplement(supplemented()))["services.tsv"]
        acme = "acme.googleapis.com\tacme.googleapis.com"
        self.assertEqual(
            found,
            "service\thost\tversion\tstage\ttitle\ttemplate\tpatterns\tscopes\tlocations\n"
            f"{acme}\tv2\tGA\tAcme API\tv2/{{name}}\t{LOCATION_PATTERN}\t\t\n"
            f"{acme}\tv1\tGA\tAcme API\tv1/{{name}}\t{LOCATION_PATTERN}\ta\t\n",
        )

    def test_the_order_of_the_documents_does_not_matter(self):
        others = [document(getter(f"{name}.operations.get"), name=name) for name in ["zoo", "bar"]]
        one = generate.tables([self.PUBLISHED, *others], supplement())
        other = generate.tables([*reversed(others), self.PUBLISHED], supplement())
        self.assertEqual(one, other)

    def test_a_pair_that_the_documents_have_leaves_the_supplement(self):
        self.assertEqual(
            self.fails([self.PUBLISHED], supplement(supplemented("v1"))),
            "supplement.tsv: the documents have acme.googleapis.com v1 now, remove its line",
        )

    def test_a_pair_is_described_once(self):
        twice = "acme.googleapis.com v2 is described twice"
        self.assertEqual(self.fails([], supplement(supplemented(), supplemented())), twice)

    def test_the_supplement_names_its_sources(self):
        line = supplemented(source="")
        self.assertEqual(
            self.fails([], supplement(line)),
            f"supplement.tsv: a column or the source is missing in {line!r}",
        )

    def test_the_supplement_s_stage_is_the_version_s(self):
        self.assertEqual(
            self.fails([], supplement(supplemented("v2beta", "GA"))),
            "supplement.tsv: acme.googleapis.com v2beta is beta",
        )

    def test_the_supplement_has_services_tsv_s_columns(self):
        self.assertEqual(
            self.fails([], "service\tversion\n"),
            "supplement.tsv: the header is not services.tsv's, then `source`",
        )


class Documents(unittest.TestCase):
    INDEX = {"kind": "discovery#directoryList"}

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_a_folder_is_read_without_its_index(self):
        (self.folder / "acme.v1.json").write_text(json.dumps(Tables.PUBLISHED))
        (self.folder / "index.json").write_text(json.dumps(self.INDEX))
        self.assertEqual(generate.read_documents(self.folder), [Tables.PUBLISHED])

    def test_a_wheel_is_read(self):
        wheel = self.folder / "package.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(generate.DOCUMENTS + "acme.v1.json", json.dumps(Tables.PUBLISHED))
            archive.writestr("googleapiclient/other.json", "not a document")
        found = generate.read_documents(zipfile.Path(wheel, generate.DOCUMENTS))
        self.assertEqual(found, [Tables.PUBLISHED])

    def test_a_folder_without_documents_is_named(self):
        with self.assertRaises(generate.CatalogueError) as caught:
            generate.read_documents(self.folder)
        self.assertEqual(str(caught.exception), f"{self.folder} holds no discovery documents")


class Check(unittest.TestCase):
    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.catalog, self.documents = folder / "catalog", folder / "documents"
        self.catalog.mkdir()
        self.documents.mkdir()
        (self.catalog / "supplement.tsv").write_text(supplement())
        (self.documents / "acme.v1.json").write_text(json.dumps(Tables.PUBLISHED))
        # The tables are beside the script, wherever that is.
        script = generate.__file__
        self.addCleanup(setattr, generate, "__file__", script)
        generate.__file__ = str(self.catalog / "generate.py")

    def run_script(self, *options):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = generate.main(["--documents", str(self.documents), *options])
        return code, printed.getvalue()

    def test_what_was_written_passes(self):
        written = self.run_script()
        self.assertEqual(written, (0, "services.tsv: 1 rows\nown-types.tsv: 0 rows\nurls.tsv: 1 rows\n"))
        self.assertEqual(self.run_script("--check"), (0, ""))

    def test_a_change_is_shown_and_not_written(self):
        self.run_script()
        table = self.catalog / "services.tsv"
        stale = table.read_text().replace("Acme API", "Old title")
        table.write_text(stale)
        code, printed = self.run_script("--check")
        self.assertEqual(code, 1)
        self.assertIn("--- services.tsv (checked in)\n+++ services.tsv (generated)\n", printed)
        self.assertIn("\tOld title\t", printed)
        self.assertIn("\tAcme API\t", printed)
        self.assertNotIn("own-types.tsv", printed)
        self.assertEqual(table.read_text(), stale)


if __name__ == "__main__":
    unittest.main()
