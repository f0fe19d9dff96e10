"""The generated table through Splink on DuckDB, as its tutorial matches a table against itself.

python splink_pairs.py ROWS.csv PAIRS.csv, with the package splink
"""

import sys

import pandas as pd
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

rows = pd.read_csv(sys.argv[1], dtype={"code": str}, keep_default_na=False)
rows["price"] = pd.to_numeric(rows["price"])
rows["name"] = rows["name"].str.lower()
rows["model"] = rows["name"].str.extract(r"(\S*\d\S*\d\S*)", expand=False).str.replace(r"\W", "", regex=True)
# Without this the 5,000 rows of size "12" alone are 12 million pairs, and 100,000 rows 77 million.
rows.loc[rows.groupby("model")["model"].transform("size") > 40, "model"] = None
rows["manufacturer"] = rows["manufacturer"].str.lower().replace("", None)
rows["first"] = rows["name"].str.split().str[0]
rows["last"] = rows["name"].str.split().str[-1]
settings = SettingsCreator(
    link_type="dedupe_only",
    unique_id_column_name="code",
    blocking_rules_to_generate_predictions=[block_on("model"), block_on("first", "last")],
    comparisons=[
        cl.JaroWinklerAtThresholds("name", [0.95, 0.88, 0.8]),
        cl.LevenshteinAtThresholds("model", [1, 2]),
        cl.ExactMatch("manufacturer"),
    ],
)
linker = Linker(DuckDBAPI().register(rows), settings)
linker.training.estimate_probability_two_random_records_match([block_on("model")], recall=0.7)
linker.training.estimate_u_using_random_sampling(max_pairs=1e6)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("model"))
linker.training.estimate_parameters_using_expectation_maximisation(block_on("first", "last"))
found = linker.inference.predict(threshold_match_probability=0.5).as_pandas_dataframe()
found[["code_l", "code_r"]].to_csv(sys.argv[2], index=False)
